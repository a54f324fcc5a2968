"""The learner: what is trained, one model or restarts of it side by side.

R restarts, S sums of an epoch.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from memlm.config.training import QATrainConfig, TrainConfig
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import Tick
from memlm.models.base import StoredModel
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import DivergedError
from memlm.training.optim import ClippedSGD
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Annealing, Halving

REASONS = ("max_steps", "epochs", "min_lr")  # why training is over: of several restarts' reasons, the first one here

logger = logging.getLogger(__name__)


class Learner(ABC):
    """What the training loop asks of what is trained. Restart r has its own Progress, `progress[r]`.

    A restart that diverges is left out, and the others go on; a single model raises DivergedError.
    """

    sums: ClassVar[tuple[str, ...]]  # of Totals, that are summed on the device; the first ones must stay finite
    keeps_best: ClassVar[bool] = True  # whether validation decides which state is kept
    model: StoredModel
    optimizer: ClippedSGD

    def __init__(
        self, config: TrainConfig | QATrainConfig, device: torch.device, schedule: Callable[[], Annealing | Halving]
    ) -> None:
        self.config = config
        self.device = device
        self.progress = [Progress(seed=seed, schedule=schedule()) for seed in config.seeds]
        self.steps_in_epoch = 0
        # Over the epoch so far, (S + 1, R): the sums, and the steps up to which they were finite. They are on the
        # device, for reading them costs CUDA a stop.
        self._sums = torch.zeros(len(self.sums) + 1, len(self.progress), dtype=torch.float64, device=device)
        self.start_clock()

    @abstractmethod
    def batches(self) -> Iterator[Any]:
        """What is still to be trained on in the epoch under way."""

    @abstractmethod
    def step(self, batch: Any) -> None:
        """One update on the summed loss of a batch."""

    @abstractmethod
    def validate(self, tick: Tick) -> bool:
        """Score the validation split and end the epoch; whether the state is now the best so far.

        What `tick` raises ends the work with nothing changed.
        """

    @abstractmethod
    def line(self, epoch: int) -> dict[str, Any]:
        """The line of metrics.jsonl of epoch 1, 2, ...: one for all restarts."""

    @abstractmethod
    def points(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The points that a line of metrics.jsonl is on the curves."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All that a checkpoint needs beside the model: plain values, and tensors."""

    @abstractmethod
    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`; KeyError, TypeError or RuntimeError where they are something else."""

    @abstractmethod
    def extract(self) -> StoredModel:
        """The model of the restart that has been best, as it is now."""

    @abstractmethod
    def start_from(self, state: checkpoint.Checkpoint) -> None:
        """Begin every restart with the weights of a checkpoint of a single model."""

    @abstractmethod
    def parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters of each restart together."""

    def wants_point(self) -> bool:
        """Whether it is time for a point on the curves within an epoch."""
        return False

    def point(self) -> tuple[Totals, dict[str, float]] | None:
        """Sums and figures since the last point on the curves, which this is the next of; None if there are none."""
        self.settle()
        return None

    @property
    def epoch(self) -> int:
        """Finished epochs of the restart that had most."""
        return max(progress.epoch for progress in self.progress)

    @property
    def steps(self) -> int:
        """Finished steps, of all epochs, of the restart that had most."""
        return max(progress.step for progress in self.progress)

    @property
    def steps_done(self) -> int:
        """Finished steps of the epoch under way."""
        return max(progress.totals.steps for progress in self.progress)

    @property
    def logged_step(self) -> int:
        """The step of the last point of the curves."""
        return max(progress.logged_step for progress in self.progress)

    @property
    def epoch_is_whole(self) -> bool:
        """Whether the epoch under way has had all its steps."""
        return self.steps_done == self.steps_in_epoch

    @property
    def finished(self) -> str:
        """Why training is over; empty while it is not. Restarts that diverged don't count."""
        reasons = {progress.finished(self.config) for progress in self.progress if progress.diverged is None}
        return "" if "" in reasons else min(reasons, key=REASONS.index)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return [self.line(epoch) for epoch in range(1, self.epoch + 1)]

    @property
    def best_restart(self) -> int | None:
        """The restart of the lowest validation cost so far, the first of equals; None before there is one."""
        ranks = [
            (progress.best_cost, progress.best_epoch, restart)
            for restart, progress in enumerate(self.progress)
            if progress.best_cost is not None
        ]
        return min(ranks)[2] if ranks else None

    @property
    def best(self) -> Progress | None:
        """The progress of that restart."""
        return None if self.best_restart is None else self.progress[self.best_restart]

    @property
    def about_best(self) -> dict[str, Any]:
        """What the checkpoint of the best state says of it."""
        if self.best is None:
            return {}
        return self.best.best | ({"seed": self.best.seed} if len(self.progress) > 1 else {})

    def start_clock(self) -> None:
        """Count the time from now on as spent on steps."""
        self._clock = time.perf_counter()

    def set_rates(self) -> None:
        """Tell the optimizer each restart's learning rate: 0 for one that trains no more."""
        self.optimizer.set_rates([progress.rate(self.config) for progress in self.progress])

    def halve(self) -> None:
        """Halve the rate, after a loss that was not finite."""
        for progress in self.progress:
            progress.schedule.halve()
            progress.halvings += 1
        self.set_rates()

    def settle(self) -> None:
        """Bring the totals up to date. A restart whose loss or gradient is not finite is left out.

        Raises DivergedError, naming the step, once none is left.
        """
        now = time.perf_counter()
        for restart, (*values, good) in enumerate(self._sums.T.tolist()):
            progress = self.progress[restart]
            totals = progress.totals
            if progress.diverged is not None or not totals.steps:
                continue
            if not math.isfinite(sum(values)):
                step = progress.step - totals.steps + round(good) + 1
                self.leave_out(restart, "the loss or its gradient", step)
                continue
            for name, value in zip(self.sums, values, strict=True):
                setattr(totals, name, value)
            totals.clipped = round(totals.clipped)
            totals.seconds += now - self._clock
        self._clock = now

    def leave_out(self, restart: int, what: str, step: int) -> None:
        """`what` of a restart is not finite at this step: raises DivergedError if no other trains on."""
        progress = self.progress[restart]
        error = f"{what} is not finite at step {step}, at learning rate {self.optimizer.rates[restart]:.4g}"
        if len(self.progress) == 1:
            raise DivergedError(error)
        progress.leave_out(step)
        self.set_rates()
        if all(other.diverged is not None for other in self.progress):
            raise DivergedError(f"no restart is left: of seed {progress.seed}, {error}")
        logger.warning("the restart of seed %d is left out: %s", progress.seed, error)

    def save(self, run: RunFolder) -> None:
        """The state as the run's checkpoint `last`. What is not finite is never saved: see `settle`."""
        self.settle()
        for restart, norm in enumerate(self.parameter_norms()):
            progress = self.progress[restart]
            if not math.isfinite(norm) and progress.trains(self.config):
                self.leave_out(restart, "the norm of the weights", progress.step)
        values, tensors = self.state()
        checkpoint.save(run.last, self.model, {"step": self.steps} | values, training=tensors or None)

    def load(self, run: RunFolder) -> None:
        """Go on from the run's checkpoint `last`, or the one before it where that is damaged."""
        state = checkpoint.read(run.last)
        checkpoint.fill(self.model, state)
        try:
            self.restore(state.meta, dict(state.training))
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError):
            raise MemlmError(f"{state.folder} is damaged: it does not hold the state of a training") from None
        of_totals = [progress.totals for progress in self.progress]
        sums = [[*(getattr(totals, name) for name in self.sums), totals.steps] for totals in of_totals]
        self._sums.copy_(torch.tensor(sums, dtype=torch.float64).T)
        self.set_rates()
        checkpoint.set_aside(run.last, state)
