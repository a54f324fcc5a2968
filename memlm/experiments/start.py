"""The start of a run: its folder, and the weights of another run if it starts from them."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memlm.config.data import DataConfig
from memlm.config.run import Config, QAConfig, is_collection
from memlm.data.vocabulary.words import Vocabulary, WordList
from memlm.errors import MemlmError
from memlm.runs import checkpoint
from memlm.runs.checkpoint import Checkpoint
from memlm.runs.folder import RunFolder, free_folder


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """The weights, settings and vocabulary of the run that a new run starts from (`--init-from`)."""

    run: RunFolder
    config: Config | QAConfig
    vocabulary: WordList
    state: Checkpoint

    @classmethod
    def of(cls, path: Path) -> "StartingPoint":
        """The best state of a run. Raises MemlmError if there is none, or if the model has no weights."""
        run = RunFolder.open(path)
        manifest = run.manifest()
        config = manifest.config
        if not config.model.trained:
            raise MemlmError(f"{path} is of {config.model.name}, which is counted: it has no weights to start from")
        if isinstance(config, QAConfig) and is_collection(config):
            raise MemlmError(f"{path} has one model per task: name the folder of one, as {path / 'task-1'}")
        if not checkpoint.exists(run.best):
            raise MemlmError(f"{path} has no best state yet: go on with `memlm train --resume {path}`")
        vocabulary = manifest.words if manifest.answers_questions else manifest.vocabulary
        return cls(run=run, config=config, vocabulary=vocabulary, state=checkpoint.read(run.best))

    @classmethod
    def noted(cls, run: RunFolder) -> "StartingPoint | None":
        """Where a run that was made before started from, as its env.json says; None if it had weights of its own.

        Raises MemlmError if the weights are no longer the same.
        """
        fact = run.environment().get("init_from")
        if not fact:
            return None
        point = cls.of(Path(fact["run"]))
        if point.fact["sha256"] != fact["sha256"]:
            raise MemlmError(f"{run.path} started from {fact['run']}, whose weights have changed: begin anew")
        return point

    def check_answers(self) -> None:
        """Raise MemlmError unless the run answers questions."""
        if isinstance(self.config, Config):
            raise MemlmError(f"{self.run.path} is of a language model: an answerer can't start from its weights")

    def fill(self, fill: Callable[[Checkpoint], None]) -> None:
        """Give the weights to `fill`. Raises MemlmError where they are of a model with other settings."""
        try:
            fill(self.state)
        except MemlmError:
            raise MemlmError(
                f"the weights of {self.run.path} are of {self.config.model.label} with other settings: a run that "
                f"starts from them needs the settings of the model in {self.run.path / 'config.toml'}"
            ) from None

    @property
    def text_vocabulary(self) -> Vocabulary:
        """The vocabulary of a run of a language model."""
        if not isinstance(self.vocabulary, Vocabulary):
            raise MemlmError(f"{self.run.path} answers questions: a language model can't start from its weights")
        return self.vocabulary

    def settings_for(self, config: Config) -> Config:
        """The settings of a language model that starts from here, with the run's own settings of the text.

        Raises MemlmError if they ask for other settings of the text, or for a model that is counted.
        """
        if not config.model.trained:
            raise MemlmError(f"{config.model.name} is counted, not trained: it can't start from the weights of a run")
        if not isinstance(self.config, Config):
            raise MemlmError(f"{self.run.path} answers questions: a language model can't start from its weights")
        own = self.config.data.replace({"split": config.data.split})
        asked = config.data.replace({"split": None})
        if asked not in (DataConfig(), own.replace({"split": None})):
            raise MemlmError(
                f"a run that starts from {self.run.path} has its vocabulary: leave out the settings of the text"
            )
        return dataclasses.replace(config, data=own)

    @property
    def fact(self) -> dict[str, Any]:
        """What env.json records about it."""
        sha256 = self.state.meta.get("files", {}).get(checkpoint.MODEL)
        return {"run": str(self.run.path.resolve()), "step": self.state.step, "sha256": sha256}


@contextmanager
def new_run(
    path: Path | None,
    name: str,
    config: Config | QAConfig,
    vocabulary: WordList | None = None,
    *,
    overwrite: bool,
    init_from: StartingPoint | None = None,
    **facts: Any,
) -> Iterator[RunFolder]:
    """The folder of a new run, locked: `path`, or a free folder in runs/ with this name.

    `facts` go to env.json, such as what the settings leave to the machine.
    """
    path = path or free_folder(name)
    if init_from is not None:
        facts["init_from"] = init_from.fact
    run = RunFolder(path)
    run.check_free(overwrite=overwrite)
    with run.locked():
        yield RunFolder.create(path, config, vocabulary, overwrite=overwrite, **facts)


def refuse_half_begun(run: RunFolder) -> None:
    """Refuse to resume a run without a checkpoint that should have started from the weights of another."""
    if run.environment().get("init_from"):
        raise MemlmError(
            f"{run.path} was killed before its first checkpoint: start it again with --init-from and --overwrite"
        )
