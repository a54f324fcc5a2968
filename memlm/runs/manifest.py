"""A run's settings, environment and vocabulary, as its folder has them. Each file is read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from memlm import jsontext
from memlm.config.run import Config, QAConfig, RunConfig, read_toml
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.words import Vocabulary, WordList
from memlm.errors import MemlmError

Words = TypeVar("Words", bound=WordList)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The settings and the environment of a run. The settings are checked against env.json.

    The vocabulary is read on first use, because a run with one model per task has no vocabulary of its own.
    """

    path: Path
    config: Config | QAConfig
    environment: Mapping[str, Any]

    @property
    def answers_questions(self) -> bool:
        """Whether this is a question-answering run. Otherwise it is a language model."""
        return isinstance(self.config, QAConfig)

    @property
    def text_config(self) -> Config:
        """The settings of a language model. Raises MemlmError for a question-answering run."""
        if isinstance(self.config, QAConfig):
            raise MemlmError(f"{self.path} is a run of question answering: use `memlm ask` or `memlm eval`")
        return self.config

    @property
    def question_config(self) -> QAConfig:
        """The settings of a question-answering run. Raises MemlmError for a language model."""
        if isinstance(self.config, Config):
            raise MemlmError(f"{self.path} is a run of a language model: it answers no questions about stories")
        return self.config

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of a language model."""
        return self._checked(load_vocabulary(self.path, self.text_config.data))

    @cached_property
    def words(self) -> WordList:
        """The words of a question-answering run."""
        return self._checked(WordList.load(self.path))

    def _checked(self, vocabulary: Words) -> Words:
        where = str(self.path / vocabulary.file)
        _check_noted(self.environment, "vocabulary_sha256", vocabulary.sha256, where)
        return vocabulary

    def check_text(self, dataset: str, found: Mapping[str, str]) -> None:
        """Raise MemlmError for a split whose text is not the one that the run was trained on.

        `found` has the hash of the ids of each split. The hashes of the training run are in env.json.
        """
        noted = self.environment.get("data_sha256", {})
        if not isinstance(noted, dict):
            raise MemlmError(f"{self.path / 'env.json'} is damaged: data_sha256 is not a table")
        for split, sha256 in found.items():
            if noted.get(split, sha256) != sha256:
                raise MemlmError(
                    f"the {split} text of {dataset} is not the one that {self.path} was trained on: "
                    f"restore that text, or score this one with --text"
                )


def read(path: Path) -> Manifest:
    """The manifest of a run folder.

    Raises MemlmError if config.toml or env.json is missing or damaged, or if they disagree: with other model settings
    the weights would give meaningless scores.
    """
    tables, environment = read_toml(path / "config.toml"), read_object(path / "env.json")
    model = tables.get("model", {})
    answers = isinstance(model, dict) and model.get("name") in tuple(QAConfig.models)
    kind: type[Config] | type[QAConfig] = QAConfig if answers else Config
    config = kind.from_dict(tables, where=str(path / "config.toml"))
    for title, settings in weight_settings(config).items():
        _check_noted(environment, title, settings, f"[{title}] of {path / 'config.toml'}")
    return Manifest(path=path, config=config, environment=environment)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or {} if there is no such file."""
    value = jsontext.read(path) if path.exists() else {}
    if not isinstance(value, dict):
        raise MemlmError(f"{path} is damaged: it is not a JSON object")
    return value


def weight_settings(config: RunConfig[Any, Any]) -> dict[str, Any]:
    """The tables of settings that the meaning of a model's weights depends on: [data] and [model]."""
    return {title: part for title, part in config.resolved().to_dict().items() if title in ("data", "model")}


def _check_noted(environment: Mapping[str, Any], key: str, found: object, what: str) -> None:
    """Raise MemlmError if a value differs from the one in env.json.

    Runs of earlier releases lack some keys, or some settings in a table. Those are not checked.
    """
    noted = environment.get(key, found)
    if isinstance(noted, dict) and isinstance(found, dict):
        found = {name: value for name, value in found.items() if name in noted}
    if noted != found:
        raise MemlmError(f"{what} is damaged: it differs from what the run was made with, as recorded in env.json")
