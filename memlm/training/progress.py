"""The progress of training: what a checkpoint holds beside tensors, one Progress per restart."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from memlm import jsontext
from memlm.training.schedule import Annealing, Halving


@dataclass(kw_only=True)
class Totals:
    """Sums over the steps of the current epoch.

    They are summed step by step from the start of the epoch, so that no bit depends on where a run was stopped.
    """

    nats: float = 0.0
    targets: int = 0
    steps: int = 0
    grad_norm: float = 0.0
    clipped_norm: float = 0.0
    clipped: int = 0
    seconds: float = 0.0
    wrong: float = 0.0  # answers

    def since(self, earlier: "Totals") -> "Totals":
        """What came after `earlier`."""
        names = [f.name for f in dataclasses.fields(self)]
        return Totals(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


@dataclass(kw_only=True)
class Progress:
    """The finished epochs and steps of a restart, and their results."""

    seed: int
    schedule: Annealing | Halving
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps, of all epochs
    totals: Totals = field(default_factory=Totals)  # of the current epoch
    logged: Totals = field(default_factory=Totals)  # the part of them that was reported
    best_cost: float | None = None  # nats per token or question on validation
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)  # what the checkpoint of the best state says about it
    halvings: int = 0  # of the rate, after the loss was not finite
    history: list[dict[str, Any]] = field(default_factory=list)  # metrics of the finished epochs
    diverged: int | None = None  # the step at which a loss was not finite; the restart is dropped there

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """The inverse of dataclasses.asdict, except that `schedule` is an object here.

        Fields that the first release did not have get their defaults, except that all steps count as reported. Raises
        KeyError or TypeError for anything else.
        """
        parts = {"totals": Totals, "logged": Totals}
        values = {"logged": values["totals"]} | values
        inner: dict[str, Any] = {name: jsontext.as_dataclass(kind, values[name]) for name, kind in parts.items()}
        return jsontext.as_dataclass(cls, values | inner)

    @property
    def logged_step(self) -> int:
        """The step of the last report. A checkpoint at the same step may come before its report."""
        return self.step - self.totals.steps + self.logged.steps

    @property
    def best_step(self) -> int | None:
        """The step at which the best state was; None before the first epoch has ended."""
        return int(self.history[self.best_epoch - 1]["step"]) if self.best_epoch else None

    @property
    def is_best(self) -> bool:
        """Whether the current state is the best one."""
        return self.best_step == self.step

    def scheduled_rate(self, config: Any) -> float:
        """The learning rate of the current epoch."""
        return self.schedule.rate(config)

    def rate(self, config: Any) -> float:
        """The learning rate of the current epoch; 0 for a restart that no longer trains."""
        return self.scheduled_rate(config) if self.trains(config) else 0.0

    def trains(self, config: Any) -> bool:
        """Whether the restart still trains."""
        return self.diverged is None and not self.finished(config)

    def finished(self, config: Any) -> str:
        """The reason for the end of training (max_steps, min_lr, epochs); empty before the end."""
        return self.schedule.finished(config, epoch=self.epoch, step=self.step)

    def end_epoch(self, config: Any, metrics: dict[str, Any], cost: float, about: dict[str, Any]) -> None:
        """Record the metrics and the validation loss of an epoch. Of equal losses the first is the best.

        `about` is what the checkpoint says about this state if it is the best so far.
        """
        self.epoch += 1
        self.history.append(metrics)
        self.totals, self.logged = Totals(), Totals()
        self.schedule.epoch_ended(config, self.epoch, cost)
        if self.best_cost is None or cost < self.best_cost:
            self.best_cost, self.best_epoch, self.best = cost, self.epoch, about

    def drop(self, step: int) -> None:
        """Record that the restart diverged at this step. Its current epoch does not count."""
        self.diverged = step
        self.totals, self.logged = Totals(), Totals()
        self.step = step  # even if it was noticed later
