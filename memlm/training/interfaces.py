"""Interfaces of the training loop: observers and stop requests. The learner has a module of its own."""

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
    """Looks on while a model trains. Override any of the methods; each may return `memlm.STOP`.

    Then the run is saved and ends as after Ctrl-C. What an observer raises ends the run at once: it can be resumed
    from its last checkpoint.

    >>> class GoodEnough(memlm.Observer):
    ...     def epoch(self, learner, metrics, best):
    ...         return memlm.STOP if metrics["valid_perplexity"] < 20 else None
    """

    def began(self, learner: "Learner", run: "RunFolder") -> Stop | None:
        """Before the first step, of a resumed run too, and again where training goes back after a divergence."""

    def point(self, learner: "Learner", recent: "Totals", figures: Mapping[str, float]) -> Stop | None:
        """Every so many steps of a language model (`log_every`): sums and means since the last point."""

    def epoch(self, learner: "Learner", metrics: dict[str, Any], best: bool) -> Stop | None:
        """After an epoch's validation, before it is saved: its line of metrics.jsonl, and if it is the best so far."""

    def saved(self, learner: "Learner", asked: bool) -> Stop | None:
        """After a checkpoint; `asked` if a signal asked for it."""

    def ended(self, learner: "Learner", summary: dict[str, Any] | None) -> Stop | None:
        """At the end: what summary.json will hold, or None for a run that was stopped before its end."""


EVENTS = ("began", "point", "epoch", "saved", "ended")


class Observers(Observer):
    """Several observers as one; remembers whether one of them wants to stop."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.observers = list(observers)
        self.stop = False
        for observer in self.observers:
            if not any(hasattr(observer, event) for event in EVENTS):
                raise MemlmError(f"{observer!r} is no observer: it has none of the methods {', '.join(EVENTS)}")

    def _tell(self, event: str, *what: Any) -> Stop | None:
        for observer in self.observers:
            if (told := getattr(observer, event, None)) is not None:
                self.stop |= told(*what) is STOP
        return STOP if self.stop else None

    def began(self, learner: "Learner", run: "RunFolder") -> Stop | None:
        """Tell all."""
        return self._tell("began", learner, run)

    def point(self, learner: "Learner", recent: "Totals", figures: Mapping[str, float]) -> Stop | None:
        """Tell all."""
        return self._tell("point", learner, recent, figures)

    def epoch(self, learner: "Learner", metrics: dict[str, Any], best: bool) -> Stop | None:
        """Tell all."""
        return self._tell("epoch", learner, metrics, best)

    def saved(self, learner: "Learner", asked: bool) -> Stop | None:
        """Tell all."""
        return self._tell("saved", learner, asked)

    def ended(self, learner: "Learner", summary: dict[str, Any] | None) -> Stop | None:
        """Tell all."""
        return self._tell("ended", learner, summary)


class Requests(Protocol):
    """What is asked of a training from outside while it goes on."""

    def stop(self) -> bool:
        """Whether to save and stop."""

    def save(self) -> bool:
        """Whether to save and go on; asking takes the request back."""


class NoRequests:
    """Nobody asks."""

    def stop(self) -> bool:
        """Never."""
        return False

    def save(self) -> bool:
        """Never."""
        return False
