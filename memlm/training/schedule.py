"""Learning rate schedules, with one state per restart.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from memlm.config.training import QATrainConfig, TrainConfig


class Schedule(Protocol):
    """The learning rate of a restart, epoch by epoch. The fields are its state; the settings come with each call."""

    def rate(self, config: Any) -> float:
        """The learning rate of the current epoch; 0 after the last one."""

    def epoch_ended(self, config: Any, epoch: int, cost: float) -> None:
        """Record the validation loss of epoch 1, 2, ..., in nats per token or question."""

    def finished(self, config: Any, *, epoch: int, step: int) -> str:
        """The reason for the end of training after these epochs and steps; empty before the end."""

    def halve(self) -> None:
        """Halve the learning rate, after a loss that was not finite."""


@dataclass(kw_only=True)
class Annealing:
    """Learning rate decay when validation does not improve on the previous epoch [C].

    The validation loss improves if it is at most 0.9999 times the previous one, which need not be the best one.
    With `after` > 0 the rate decays after every epoch from that one on instead (Zaremba et al. 2014).
    """

    lr: float
    factor: float
    after: int
    previous_cost: float | None = None

    @classmethod
    def begin(cls, config: TrainConfig) -> "Annealing":
        """The state before the first epoch."""
        return cls(lr=config.lr, factor=config.anneal_factor, after=config.anneal_after)

    def rate(self, config: TrainConfig) -> float:
        """The learning rate."""
        return self.lr

    def epoch_ended(self, config: TrainConfig, epoch: int, cost: float) -> None:
        """Divide the rate if the loss did not improve, or if the epoch says so."""
        if self.after:
            due = epoch >= self.after
        else:
            due = self.previous_cost is not None and cost > 0.9999 * self.previous_cost
        if due:
            self.lr /= self.factor
        self.previous_cost = cost

    def finished(self, config: TrainConfig, *, epoch: int, step: int) -> str:
        """max_steps, min_lr or epochs."""
        if config.max_steps and step >= config.max_steps:
            return "max_steps"
        if epoch and self.lr < config.min_lr:
            return "min_lr"
        return "epochs" if epoch >= config.epochs else ""

    def halve(self) -> None:
        """Halve the rate."""
        self.lr /= 2


@dataclass(kw_only=True)
class Halving:
    """The rate is halved every so many epochs [P], after a linear start: epochs without softmax in the memory."""

    straight: bool  # whether the linear start is under way
    linear_epochs: int = 0
    epochs: int = 0  # after the linear start
    lowest_cost: float | None = None  # of validation in the linear start
    lowest_epoch: int = 0
    scale: float = 1.0  # halved when the loss was not finite

    @classmethod
    def begin(cls, config: QATrainConfig) -> "Halving":
        """The state before the first epoch."""
        return cls(straight=config.linear_start != "no")

    def rate(self, config: QATrainConfig) -> float:
        """The learning rate; the linear start has its own."""
        if self.straight:
            return config.linear_lr * self.scale
        halved = config.lr * 0.5 ** (self.epochs // config.halve_every)
        return halved * self.scale if self.epochs < config.epochs else 0.0

    def epoch_ended(self, config: QATrainConfig, epoch: int, cost: float) -> None:
        """Count the epoch. A linear start ends when its validation loss stops falling, or at its last epoch."""
        if not self.straight:
            self.epochs = min(self.epochs + 1, config.epochs)
            return
        self.linear_epochs += 1
        if math.isfinite(cost) and (self.lowest_cost is None or cost < self.lowest_cost):
            self.lowest_cost, self.lowest_epoch = cost, self.linear_epochs
        waited = self.linear_epochs - self.lowest_epoch
        stopped = config.linear_start == "validation" and waited >= config.linear_patience
        self.straight = not stopped and self.linear_epochs < config.linear_epochs

    def finished(self, config: QATrainConfig, *, epoch: int, step: int) -> str:
        """Epochs, those of the linear start not counted."""
        return "epochs" if self.epochs >= config.epochs else ""

    def halve(self) -> None:
        """Halve the rate."""
        self.scale /= 2
