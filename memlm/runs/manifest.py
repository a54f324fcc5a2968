"""What a run's folder says of itself: settings, environment, vocabulary. Each file is read once."""

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
    """The settings of a run, checked against what env.json notes of them, and its environment.

    The vocabulary is read when it is first asked for: a run of one model a task has none of its own.
    """

    path: Path
    config: Config | QAConfig
    environment: Mapping[str, Any]

    @property
    def answers_questions(self) -> bool:
        """Whether it is a run of question answering, and not of a language model."""
        return isinstance(self.config, QAConfig)

    @property
    def text_config(self) -> Config:
        """The settings of a language model. Raises MemlmError for a run of question answering."""
        if isinstance(self.config, QAConfig):
            raise MemlmError(f"{self.path} is a run of question answering: `memlm ask` and `memlm eval` are for it")
        return self.config

    @property
    def question_config(self) -> QAConfig:
        """The settings of a run of question answering. Raises MemlmError for a language model."""
        if isinstance(self.config, Config):
            raise MemlmError(f"{self.path} is a run of a language model: it answers no questions about stories")
        return self.config

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of a language model."""
        return self._checked(load_vocabulary(self.path, self.text_config.data))

    @cached_property
    def words(self) -> WordList:
        """The words of a run of question answering."""
        return self._checked(WordList.load(self.path))

    def _checked(self, vocabulary: Words) -> Words:
        where = str(self.path / vocabulary.file)
        _check_made_with(self.environment, "vocabulary_sha256", vocabulary.sha256, where)
        return vocabulary

    def check_text(self, dataset: str, found: Mapping[str, str]) -> None:
        """Refuse splits whose ids have other hashes than those that the run was trained on, as env.json notes them."""
        noted = self.environment.get("data_sha256", {})
        if not isinstance(noted, dict):
            raise MemlmError(f"{self.path / 'env.json'} is damaged: data_sha256 is not a table")
        for split, sha256 in found.items():
            if noted.get(split, sha256) != sha256:
                raise MemlmError(
                    f"the {split} text of {dataset} is not the one that {self.path} was trained on: "
                    f"put that one back, or score it with --text"
                )


def read(path: Path) -> Manifest:
    """The manifest of a run's folder.

    Raises MemlmError where config.toml or env.json is missing or damaged, or the two don't agree: with other settings
    of the model, its weights would score as they please.
    """
    tables, environment = read_toml(path / "config.toml"), read_object(path / "env.json")
    model = tables.get("model", {})
    answers = isinstance(model, dict) and model.get("name") in tuple(QAConfig.models)
    kind: type[Config] | type[QAConfig] = QAConfig if answers else Config
    config = kind.from_dict(tables, where=str(path / "config.toml"))
    for title, settings in made_with(config).items():
        _check_made_with(environment, title, settings, f"[{title}] of {path / 'config.toml'}")
    return Manifest(path=path, config=config, environment=environment)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} if there is no such file."""
    value = jsontext.read(path) if path.exists() else {}
    if not isinstance(value, dict):
        raise MemlmError(f"{path} is damaged: it is not a JSON object")
    return value


def made_with(config: RunConfig[Any, Any]) -> dict[str, Any]:
    """The tables of settings that decide what a model's weights mean."""
    return {title: part for title, part in config.resolved().to_dict().items() if title in ("data", "model")}


def _check_made_with(environment: Mapping[str, Any], key: str, found: object, what: str) -> None:
    """Against env.json, where that has a note of it: runs of earlier releases lack some, or some settings."""
    noted = environment.get(key, found)
    if isinstance(noted, dict) and isinstance(found, dict):
        found = {name: value for name, value in found.items() if name in noted}
    if noted != found:
        raise MemlmError(f"{what} is damaged: it is not what the run was made with, as env.json notes it")
