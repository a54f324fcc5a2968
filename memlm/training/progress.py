"""How far training is: all that a checkpoint needs beside tensors, one Progress a restart."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from memlm import jsontext
from memlm.training.schedule import Annealing, Halving


@dataclass(kw_only=True)
class Totals:
    """Sums over the steps of an epoch so far.

    They are summed step by step from the start of the epoch on, so that no bit depends on where a run was stopped.
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
    """Finished epochs and steps of a restart, and what they came to."""

    seed: int
    schedule: Annealing | Halving
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps, of all epochs
    totals: Totals = field(default_factory=Totals)  # of the epoch under way
    logged: Totals = field(default_factory=Totals)  # the part of them that is in the curves
    best_cost: float | None = None  # nats per token or question on validation
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)  # what the checkpoint of the best state says of it
    halvings: int = 0  # of the rate, after the loss was not finite
    history: list[dict[str, Any]] = field(default_factory=list)  # metrics of the finished epochs
    diverged: int | None = None  # the step at which a loss was not finite: from there on the restart is left out

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Inverse of dataclasses.asdict; KeyError or TypeError where the values are something else.

        What the first release did not note is as at the start, but that all steps were in the curves.
        """
        parts = {"totals": Totals, "logged": Totals}
        values = {"logged": values["totals"]} | values
        inner: dict[str, Any] = {name: jsontext.as_dataclass(kind, values[name]) for name, kind in parts.items()}
        return jsontext.as_dataclass(cls, values | inner)

    @property
    def logged_step(self) -> int:
        """The step of the last point of the curves; one may follow it at the very step of a checkpoint."""
        return self.step - self.totals.steps + self.logged.steps

    @property
    def best_step(self) -> int | None:
        """The step at which the best state was; None before the first epoch has ended."""
        return int(self.history[self.best_epoch - 1]["step"]) if self.best_epoch else None

    @property
    def is_best(self) -> bool:
        """Whether the state now is the best one."""
        return self.best_step == self.step

    def scheduled_rate(self, config: Any) -> float:
        """The learning rate of the epoch under way."""
        return self.schedule.rate(config)

    def rate(self, config: Any) -> float:
        """The learning rate of the epoch under way; 0 for a restart that trains no more."""
        return self.scheduled_rate(config) if self.trains(config) else 0.0

    def trains(self, config: Any) -> bool:
        """Whether the restart trains on."""
        return self.diverged is None and not self.finished(config)

    def finished(self, config: Any) -> str:
        """Why training is over (max_steps, min_lr, epochs); empty while it is not."""
        return self.schedule.finished(config, epoch=self.epoch, step=self.step)

    def end_epoch(self, config: Any, metrics: dict[str, Any], cost: float, about: dict[str, Any]) -> None:
        """Take note of an epoch's metrics and validation cost; of equal costs the first is the best.

        `about` is what the checkpoint says of the state if it is the best so far.
        """
        self.epoch += 1
        self.history.append(metrics)
        self.totals, self.logged = Totals(), Totals()
        self.schedule.epoch_ended(config, self.epoch, cost)
        if self.best_cost is None or cost < self.best_cost:
            self.best_cost, self.best_epoch, self.best = cost, self.epoch, about

    def leave_out(self, step: int) -> None:
        """The restart diverged at this step: its epoch under way is void."""
        self.diverged = step
        self.totals, self.logged = Totals(), Totals()
        self.step = step  # wherever that was noticed
