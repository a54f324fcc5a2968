"""Where a training stands: all that a checkpoint needs beside tensors."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from memlm import jsontext
from memlm.config.training import TrainConfig
from memlm.training.schedule import Annealing


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

    def since(self, earlier: "Totals") -> "Totals":
        """What came after `earlier`."""
        names = [f.name for f in dataclasses.fields(self)]
        return Totals(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


@dataclass(kw_only=True)
class Progress:
    """Finished epochs and steps, and what they came to."""

    annealing: Annealing
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps, of all epochs
    totals: Totals = field(default_factory=Totals)  # of the epoch under way
    logged: Totals = field(default_factory=Totals)  # the part of them that is in the curves
    best_cost: float | None = None  # nats a token on validation
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)  # what is said of the best state in its checkpoint
    halvings: int = 0  # of the rate, after the loss was not finite
    history: list[dict[str, Any]] = field(default_factory=list)  # metrics of the finished epochs

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Inverse of dataclasses.asdict; KeyError or TypeError where that is not what the values are.

        What an earlier release did not note is as at the start, but that all steps were in the curves.
        """
        parts = {"annealing": Annealing, "totals": Totals, "logged": Totals}
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

    def end_epoch(self, metrics: dict[str, Any], cost: float, sample: dict[str, Any]) -> bool:
        """Take note of an epoch's metrics and validation cost (nats a token); whether it is the best so far.

        `sample` is kept with the best state, for it to be checked against.
        """
        self.epoch += 1
        self.history.append(metrics)
        self.totals, self.logged = Totals(), Totals()
        self.annealing.epoch_ended(self.epoch, cost)
        if self.best_cost is not None and cost >= self.best_cost:
            return False
        self.best_cost, self.best_epoch = cost, self.epoch
        about = {key: metrics[key] for key in ("epoch", "step", "valid_perplexity")}
        self.best = about | {"sample": sample}
        return True


def finished(progress: Progress, config: TrainConfig) -> str:
    """Why training is over (max_steps, min_lr, epochs); empty while it is not."""
    if config.max_steps and progress.step >= config.max_steps:
        return "max_steps"
    if progress.epoch and progress.annealing.lr < config.min_lr:
        return "min_lr"
    return "epochs" if progress.epoch >= config.epochs else ""
