"""The learner: one model in training, or several restarts of it side by side.

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

REASONS = ("max_steps", "epochs", "min_lr")  # for the end of training; of several restarts, the first one counts

logger = logging.getLogger(__name__)


class Learner(ABC):
    """What the training loop needs from a model in training. Restart r has its own Progress, `progress[r]`.

    A restart that diverges is dropped, and the others continue. A single model raises DivergedError.
    """

    sums: ClassVar[tuple[str, ...]]  # the fields of Totals that are summed on the device
    keeps_best: ClassVar[bool] = True  # whether validation chooses the state that is kept
    model: StoredModel
    optimizer: ClippedSGD

    def __init__(
        self, config: TrainConfig | QATrainConfig, device: torch.device, schedule: Callable[[], Annealing | Halving]
    ) -> None:
        self.config = config
        self.device = device
        self.progress = [Progress(seed=seed, schedule=schedule()) for seed in config.seeds]
        self.steps_in_epoch = 0
        # Sums over the current epoch, and the number of steps for which they were finite: (S + 1, R). They stay on the
        # device, because reading them makes CUDA wait.
        self._sums = torch.zeros(len(self.sums) + 1, len(self.progress), dtype=torch.float64, device=device)
        self.start_clock()

    @abstractmethod
    def batches(self) -> Iterator[Any]:
        """The remaining batches of the current epoch."""

    @abstractmethod
    def step(self, batch: Any) -> None:
        """One update on the summed loss of a batch."""

    @abstractmethod
    def validate(self, tick: Tick) -> bool:
        """Evaluate the validation split and end the epoch. Returns whether the state is the best so far.

        If `tick` raises, nothing has changed.
        """

    @abstractmethod
    def line(self, epoch: int) -> dict[str, Any]:
        """The line of metrics.jsonl of epoch 1, 2, ..., one for all restarts."""

    @abstractmethod
    def points(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """A line of metrics.jsonl as points for TensorBoard."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint holds beside the model: plain values, and tensors."""

    @abstractmethod
    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises KeyError, TypeError, ValueError or RuntimeError for anything else."""

    @abstractmethod
    def extract(self) -> StoredModel:
        """The model of the best restart, with its current weights."""

    @abstractmethod
    def start_from(self, state: checkpoint.Checkpoint) -> None:
        """Set the weights of every restart to those of a checkpoint of a single model."""

    @abstractmethod
    def parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters, of each restart."""

    def wants_point(self) -> bool:
        """Whether a report within the epoch is due."""
        return False

    def point(self) -> tuple[Totals, dict[str, float]] | None:
        """Totals and metrics since the last report; None if there are none."""
        self.settle()
        return None

    @property
    def epoch(self) -> int:
        """Finished epochs (of the furthest restart)."""
        return max(progress.epoch for progress in self.progress)

    @property
    def steps(self) -> int:
        """Finished steps of all epochs (of the furthest restart)."""
        return max(progress.step for progress in self.progress)

    @property
    def steps_done(self) -> int:
        """Finished steps of the current epoch."""
        return max(progress.totals.steps for progress in self.progress)

    @property
    def logged_step(self) -> int:
        """The step of the last report."""
        return max(progress.logged_step for progress in self.progress)

    @property
    def epoch_is_whole(self) -> bool:
        """Whether the current epoch has had all its steps."""
        return self.steps_done == self.steps_in_epoch

    @property
    def finished(self) -> str:
        """The reason for the end of training; empty before the end. Restarts that diverged do not count."""
        reasons = {progress.finished(self.config) for progress in self.progress if progress.diverged is None}
        return "" if "" in reasons else min(reasons, key=REASONS.index)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return [self.line(epoch) for epoch in range(1, self.epoch + 1)]

    @property
    def best_restart(self) -> int | None:
        """The restart with the lowest validation loss so far, the first of equals; None before any validation."""
        ranks = [
            (progress.best_cost, progress.best_epoch, restart)
            for restart, progress in enumerate(self.progress)
            if progress.best_cost is not None
        ]
        return min(ranks)[2] if ranks else None

    @property
    def best(self) -> Progress | None:
        """The progress of the best restart."""
        return None if self.best_restart is None else self.progress[self.best_restart]

    @property
    def about_best(self) -> dict[str, Any]:
        """What the checkpoint of the best state says about it."""
        if self.best is None:
            return {}
        return self.best.best | ({"seed": self.best.seed} if len(self.progress) > 1 else {})

    def start_clock(self) -> None:
        """Measure the time of the steps from now on."""
        self._clock = time.perf_counter()

    def set_rates(self) -> None:
        """Set the learning rate of each restart; 0 for one that no longer trains."""
        self.optimizer.set_rates([progress.rate(self.config) for progress in self.progress])

    def halve(self) -> None:
        """Halve the learning rate, after a loss that was not finite."""
        for progress in self.progress:
            progress.schedule.halve()
            progress.halvings += 1
        self.set_rates()

    def settle(self) -> None:
        """Update the totals from the sums on the device. A restart whose loss or gradient is not finite is dropped.

        Raises DivergedError, naming the step, if no restart is left.
        """
        now = time.perf_counter()
        for restart, (*values, good) in enumerate(self._sums.T.tolist()):
            progress = self.progress[restart]
            totals = progress.totals
            if progress.diverged is not None or not totals.steps:
                continue
            if not math.isfinite(sum(values)):
                step = progress.step - totals.steps + round(good) + 1
                self.drop(restart, "the loss or its gradient", step)
                continue
            for name, value in zip(self.sums, values, strict=True):
                setattr(totals, name, value)
            totals.clipped = round(totals.clipped)
            totals.seconds += now - self._clock
        self._clock = now

    def drop(self, restart: int, what: str, step: int) -> None:
        """Drop a restart whose `what` is not finite at this step. Raises DivergedError if no restart is left."""
        progress = self.progress[restart]
        rate = progress.scheduled_rate(self.config)
        error = f"{what} is not finite at step {step}, at learning rate {rate:.4g}"
        if len(self.progress) == 1:
            raise DivergedError(error)
        progress.drop(step)
        self.set_rates()
        if all(other.diverged is not None for other in self.progress):
            raise DivergedError(f"no restart is left: of seed {progress.seed}, {error}")
        logger.warning("the restart of seed %d is left out: %s", progress.seed, error)

    def save(self, run: RunFolder) -> None:
        """Save the state as the checkpoint `last`. Values that are not finite are never saved: see `settle`."""
        self.settle()
        for restart, norm in enumerate(self.parameter_norms()):
            progress = self.progress[restart]
            if not math.isfinite(norm) and progress.diverged is None:
                self.drop(restart, "the norm of the weights", progress.step)
        values, tensors = self.state()
        checkpoint.save(run.last, self.model, {"step": self.steps} | values, training=tensors or None)

    def load(self, run: RunFolder) -> None:
        """Resume from the checkpoint `last`, or from the one before it if that is damaged."""
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


def norms_of_restarts(model: StoredModel) -> list[float]:
    """The l2 norm of all parameters (R, ...), of each restart."""
    norms = [torch.linalg.vector_norm(p.detach().flatten(1), dim=1) for p in model.parameters()]
    found: list[float] = torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()
    return found
