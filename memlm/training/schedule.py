"""Learning rate schedules.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import math
from dataclasses import dataclass

from memlm.config.training import QATrainConfig, TrainConfig


@dataclass(kw_only=True)
class Annealing:
    """The learning rate over epochs: [C] divides it when validation does not improve on the epoch before.

    "Improves" is a validation cost of at most 0.9999 times the previous one, which need not be the best one.
    With `after` > 0 the rate is divided after every epoch from that one on instead (Zaremba et al. 2014).
    """

    lr: float
    factor: float
    after: int
    previous_cost: float | None = None

    @classmethod
    def from_config(cls, config: TrainConfig) -> "Annealing":
        """The state before the first epoch."""
        return cls(lr=config.lr, factor=config.anneal_factor, after=config.anneal_after)

    def epoch_ended(self, epoch: int, cost: float) -> None:
        """Take note of the validation cost (nats a token) of epoch 1, 2, ..."""
        if self.after:
            due = epoch >= self.after
        else:
            due = self.previous_cost is not None and cost > 0.9999 * self.previous_cost
        if due:
            self.lr /= self.factor
        self.previous_cost = cost


@dataclass(kw_only=True)
class Schedule:
    """Where each restart stands: whether it is still without the softmax, and its epochs without and with it."""

    straight: list[bool]
    linear_epochs: list[int]
    epochs: list[int]
    lowest_cost: list[float | None]  # of validation so far, nats a question
    lowest_epoch: list[int]

    @classmethod
    def begin(cls, config: QATrainConfig) -> "Schedule":
        """Before the first epoch."""
        R = config.restarts
        straight = [config.linear_start != "no"] * R
        zeros = [0] * R
        return cls(
            straight=straight,
            linear_epochs=list(zeros),
            epochs=list(zeros),
            lowest_cost=[None] * R,
            lowest_epoch=list(zeros),
        )

    def rates(self, config: QATrainConfig) -> list[float]:
        """Each restart's learning rate: halved every so many epochs of the softmax [P]; 0 when its epochs are over."""
        rates = []
        for straight, epochs in zip(self.straight, self.epochs, strict=True):
            halved = config.lr * 0.5 ** (epochs // config.halve_every)
            rates.append(config.linear_lr if straight else halved if epochs < config.epochs else 0.0)
        return rates

    def epoch_ended(self, config: QATrainConfig, costs: list[float]) -> None:
        """Take note of the validation costs: a linear start ends when its cost stops falling, or at its last epoch."""
        for r, cost in enumerate(costs):
            if self.straight[r]:
                self.linear_epochs[r] += 1
                lowest = self.lowest_cost[r]
                if math.isfinite(cost) and (lowest is None or cost < lowest):
                    self.lowest_cost[r], self.lowest_epoch[r] = cost, self.linear_epochs[r]
                waited = self.linear_epochs[r] - self.lowest_epoch[r]
                stopped = config.linear_start == "validation" and waited >= config.linear_patience
                self.straight[r] = not stopped and self.linear_epochs[r] < config.linear_epochs
            else:
                self.epochs[r] = min(self.epochs[r] + 1, config.epochs)

    def finished(self, config: QATrainConfig) -> bool:
        """Whether all restarts have had their epochs."""
        return min(self.epochs) >= config.epochs
