"""How a run begins: in a folder of its own, with new weights or those of another run."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memlm.config.data import DataConfig
from memlm.config.run import Config, QAConfig
from memlm.data.dataset import TextDataset
from memlm.data.vocabulary.words import Vocabulary, WordList
from memlm.errors import MemlmError
from memlm.runs import checkpoint
from memlm.runs.checkpoint import Checkpoint
from memlm.runs.folder import RunFolder, free_folder


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """The weights of a run that another one starts from (`--init-from`), with its settings and vocabulary."""

    run: RunFolder
    config: Config | QAConfig
    vocabulary: WordList
    state: Checkpoint

    @classmethod
    def of(cls, path: Path) -> "StartingPoint":
        """The best state of a run. Raises MemlmError if it has none, or is of a model without weights."""
        run = RunFolder.open(path)
        manifest = run.manifest()
        config = manifest.config
        if not config.model.trained:
            raise MemlmError(f"{path} is of {config.model.name}, which is counted: it has no weights to start from")
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
        """The settings of a language model that starts here: a text becomes tokens as it did for the run.

        Raises MemlmError for other settings of the text, and for a model that is counted.
        """
        if not config.model.trained:
            raise MemlmError(f"{config.model.name} is counted, not trained: it can't start from the weights of a run")
        if not isinstance(self.config, Config):
            raise MemlmError(f"{self.run.path} answers questions: a language model can't start from its weights")
        own = self.config.data.replace({"split": config.data.split})
        asked = config.data.replace({"split": None})
        if asked not in (DataConfig(), own.replace({"split": None})):
            raise MemlmError(
                f"a run that starts from {self.run.path} has the vocabulary of that: leave out settings of the text"
            )
        return dataclasses.replace(config, data=own)

    @property
    def fact(self) -> dict[str, Any]:
        """What env.json says of it."""
        sha256 = self.state.meta.get("files", {}).get(checkpoint.MODEL)
        return {"run": str(self.run.path.resolve()), "step": self.state.step, "sha256": sha256}


@contextmanager
def created_run(
    config: Config, data: TextDataset, path: Path | None, *, overwrite: bool, **facts: Any
) -> Iterator[RunFolder]:
    """A run's folder, held; a free one in runs/ if no path is given. `facts` is what settings leave open."""
    path = path or free_folder(f"{Path(config.dataset).name}-{config.model.label}")
    run = RunFolder(path)
    run.check_room(overwrite=overwrite)
    with run.held():
        yield RunFolder.create(path, config, data.vocabulary, overwrite=overwrite, data_sha256=data.sha256, **facts)


def refuse_half_begun(run: RunFolder) -> None:
    """Refuse to go on with a run that was to start from the weights of another, and has no checkpoint yet."""
    if run.environment().get("init_from"):
        raise MemlmError(
            f"{run.path} was cut off before its first checkpoint: begin anew with --init-from and --overwrite"
        )
