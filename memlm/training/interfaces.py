"""Interfaces of the training loop: learner, observer, stop requests."""

from collections.abc import Iterator
from typing import Any, Protocol

from memlm.config.training import TrainConfig
from memlm.data.batches import Batch
from memlm.data.corpus.reading import Tokens
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import TokenNats
from memlm.models.base import LanguageModel
from memlm.runs.folder import RunFolder
from memlm.training.progress import Totals


class DivergedError(MemlmError):
    """A loss, a gradient or a weight is no longer finite."""


class Standing(Protocol):
    """How far a training is, to those that look on: a Progress, or memlm.training.standings.Standings of restarts."""

    @property
    def epoch(self) -> int:
        """Finished epochs."""

    @property
    def step(self) -> int:
        """Finished steps, of all epochs."""

    @property
    def totals(self) -> Totals:
        """Of the epoch under way."""

    @property
    def logged_step(self) -> int:
        """The step of the last point of the curves."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""

    @property
    def best(self) -> dict[str, Any]:
        """What is said of the best state in its checkpoint."""

    @property
    def best_epoch(self) -> int:
        """The epoch after which the best state was; 0 before there is one."""

    @property
    def best_step(self) -> int | None:
        """The step at which it was; None before there is one."""

    @property
    def is_best(self) -> bool:
        """Whether it is the state now."""


class Observer(Protocol):
    """Is told how training goes; the command line draws its bar and lines from this."""

    def step(self, progress: Standing, recent: Totals, steps_in_epoch: int) -> None:
        """Each time that a point is added to the curves: totals since the last one."""

    def epoch(self, metrics: dict[str, Any], *, best: bool) -> None:
        """After each epoch: its line of metrics.jsonl, and whether it is the best so far."""

    def saved(self, step: int) -> None:
        """After a checkpoint that was asked for."""


class Requests(Protocol):
    """What is asked of a training from outside while it goes on."""

    def stop(self) -> bool:
        """Whether to save and stop."""

    def save(self) -> bool:
        """Whether to save and go on; asking takes the request back."""


class Trainee(Protocol):
    """A model in training, or restarts of one side by side: what `fit` asks of them."""

    config: TrainConfig
    steps_in_epoch: int

    @property
    def model(self) -> LanguageModel:
        """What validation scores."""

    @property
    def progress(self) -> Standing:
        """Where the training stands."""

    @property
    def epoch_is_whole(self) -> bool:
        """Whether the epoch under way has had all its steps."""

    @property
    def finished(self) -> str:
        """Why training is over; empty while it is not."""

    def save(self, run: RunFolder) -> None:
        """The state as the run's checkpoint `last`."""

    def load(self, run: RunFolder) -> None:
        """Go on from the run's checkpoint `last`."""

    def start_clock(self) -> None:
        """Count the time from now on as spent on steps."""

    def batches(self, tokens: Tokens) -> Iterator[Batch]:
        """What is still to be trained on in the epoch under way."""

    def step(self, batch: Batch) -> None:
        """One update."""

    def note_point(self) -> tuple[Totals, dict[str, float]]:
        """Totals and figures of the steps since the last point of the curves, if any: this is the next point."""

    def end_epoch(self, nats: TokenNats) -> bool:
        """Take note of validation; whether the state is the best so far."""

    def best_model(self) -> LanguageModel:
        """The model, of restarts the one that has been best, as it is now."""
