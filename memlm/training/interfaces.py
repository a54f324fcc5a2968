"""Interfaces of the training loop: observers and stop requests. The learner has its own module."""

import enum
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.runs.folder import RunFolder
    from memlm.training.learner import Learner
    from memlm.training.progress import Totals


class DivergedError(MemlmError):
    """A loss, a gradient or a weight is no longer finite."""


class Stop(enum.Enum):
    """What an observer returns to end the run."""

    STOP = "stop"


STOP = Stop.STOP


class Observer:
    """Watches a training (a callback). Override any of its methods; each may return `memlm.STOP`.

    STOP saves the run and ends it as Ctrl-C does. An exception ends the run at once; it can be resumed from its last
    checkpoint.

    >>> class GoodEnough(memlm.Observer):
    ...     def epoch(self, learner, metrics, best):
    ...         return memlm.STOP if metrics["valid_perplexity"] < 20 else None
    """

    def began(self, learner: "Learner", run: "RunFolder") -> Stop | None:
        """Called before the first step, also of a resumed run, and again after a return to an earlier checkpoint."""

    def point(self, learner: "Learner", recent: "Totals", figures: Mapping[str, float]) -> Stop | None:
        """Called every `log_every` steps of a language model, with totals and mean metrics since the last call."""

    def epoch(self, learner: "Learner", metrics: dict[str, Any], best: bool) -> Stop | None:
        """Called after the validation of an epoch and before its checkpoint, with its line of metrics.jsonl."""

    def saved(self, learner: "Learner", asked: bool) -> Stop | None:
        """Called after a checkpoint; `asked` is true if a signal requested it."""

    def ended(self, learner: "Learner", summary: dict[str, Any] | None) -> Stop | None:
        """Called at the end with the content of summary.json, or with None if the run was stopped."""


EVENTS = ("began", "point", "epoch", "saved", "ended")  # and "concluded", before summary.json: for our own writers


class Observers(Observer):
    """Several observers as one. `stop` is true once one of them has returned STOP."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.observers = list(observers)
        self.stop = False
        for observer in self.observers:
            if isinstance(observer, type) or not any(hasattr(observer, event) for event in EVENTS):
                raise MemlmError(f"{observer!r} is no observer: it has none of the methods {', '.join(EVENTS)}")

    def tell(self, event: str, *what: Any) -> None:
        """Call a method of all observers that have it."""
        for observer in self.observers:
            if isinstance(observer, Observers):
                observer.tell(event, *what)
                self.stop |= observer.stop
            elif (method := getattr(observer, event, None)) is not None:
                self.stop |= method(*what) is STOP


class Requests(Protocol):
    """Requests to a training from outside, such as signals."""

    def stop(self) -> bool:
        """Whether to save and stop."""

    def save(self) -> bool:
        """Whether to save and continue. The call clears the request."""
