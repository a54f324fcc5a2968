"""Training of restarts side by side: a step, an epoch, and the schedule that they follow.

R restarts, B questions a step, n training questions.
Sources: [P] Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, section 4.2; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from memlm.config.training import QATrainConfig
from memlm.data.questions.batches import plan_question_epoch
from memlm.data.questions.encode import Ids, QuestionSet, hold_out
from memlm.evaluation.answers import answer_all, judge
from memlm.evaluation.inputs import Feed
from memlm.models.answerer import Answerer
from memlm.training.optim import MatrixClippedSGD
from memlm.training.schedule import Schedule


@dataclass(kw_only=True)
class Progress:
    """All that a checkpoint needs beside tensors."""

    schedule: Schedule
    epoch: int = 0
    step: int = 0  # of all epochs
    steps: int = 0  # of the epoch under way
    seconds: float = 0.0  # of the epoch under way
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Inverse of dataclasses.asdict."""
        return cls(**(values | {"schedule": Schedule(**values["schedule"])}))


class Training:
    """Restarts in training: their weights, and everything else that training changes."""

    def __init__(
        self, model: Answerer, config: QATrainConfig, questions: QuestionSet, task_of: Ids, device: torch.device
    ) -> None:
        self.model = model.to(device)
        self.config = config
        self.device = device
        self.feed = Feed(questions, model, device=device)
        self.task_of = task_of  # (questions,)
        held = [hold_out(len(questions), seed=seed, share=config.validation_share) for seed in config.seeds]
        self.train, self.valid = (np.stack(part) for part in zip(*held, strict=True))
        self.optimizer = MatrixClippedSGD(model.parameters(), clip=config.clip)
        self.progress = Progress(schedule=Schedule.begin(config))
        self.sums = torch.zeros(2, config.restarts, dtype=torch.float64, device=device)  # nats, wrong; of the epoch

    def straight(self) -> torch.Tensor | None:
        """Which restarts are without the softmax, (R, 1, 1); None if none is."""
        flags = self.progress.schedule.straight
        return torch.tensor(flags, device=self.device)[:, None, None] if any(flags) else None

    def epoch(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Go through the rest of the epoch under way; False if `stop`, asked before each step, ended it early."""
        config, progress, began = self.config, self.progress, time.perf_counter()
        plan = plan_question_epoch(
            self.train, self.feed.lengths, seeds=config.seeds, epoch=progress.epoch, noise=config.noise
        )
        straight, rates = self.straight(), torch.tensor(progress.schedule.rates(config), device=self.device)
        total = -(-self.train.shape[1] // config.batch_size)
        while progress.steps < total and not stop():
            at = slice(progress.steps * config.batch_size, (progress.steps + 1) * config.batch_size)
            numbers = plan.order[:, at]
            asked = self.feed(numbers, plan.blanks[:, at], plan.places[:, at])
            scores, _ = self.model(asked, straight)
            nats, wrong = judge(scores, self.feed.answers[torch.from_numpy(numbers).to(self.device)])
            nats.sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step(rates)
            self.sums += torch.stack([nats.detach().sum(1), wrong.sum(1)])
            progress.steps += 1
            progress.step += 1
        progress.seconds += time.perf_counter() - began
        return bool(progress.steps == total)

    def end_epoch(self) -> dict[str, Any]:
        """Validate, take the schedule on, and return the epoch's line of metrics.jsonl: a figure for each restart."""
        progress, schedule, began = self.progress, self.progress.schedule, time.perf_counter()
        rates, straight = schedule.rates(self.config), list(schedule.straight)
        answers = answer_all(self.model, self.feed, self.valid, self.straight())
        nats, wrong = (self.sums / self.train.shape[1]).tolist()
        costs = answers.nats.mean(axis=1).tolist()
        schedule.epoch_ended(self.config, costs)
        progress.epoch += 1
        metrics = {
            "epoch": progress.epoch,
            "step": progress.step,
            "train_cost": nats,
            "train_error": [100 * share for share in wrong],
            "valid_cost": costs,
            "valid_error": (100 * answers.wrong.mean(axis=1)).tolist(),
            "tasks": self._valid_errors(answers.wrong),
            "lr": rates,
            "linear": straight,
            "seconds": progress.seconds + time.perf_counter() - began,
        }
        progress.history.append(metrics)
        progress.steps, progress.seconds = 0, 0.0
        self.sums.zero_()
        return metrics

    def _valid_errors(self, wrong: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
        """Percent of wrong answers of each task, one figure for each restart that holds out questions of it."""
        tasks = self.task_of[self.valid]
        errors = {}
        for task in sorted(set(self.task_of.tolist())):
            of_task = tasks == task
            counts = of_task.sum(axis=1)
            errors[str(task)] = (100 * (wrong & of_task).sum(axis=1) / np.maximum(counts, 1))[counts > 0].tolist()
        return errors

    def finite(self) -> torch.Tensor:
        """Which restarts (R,) have finite weights, and had finite costs in the epoch under way."""
        weights = [p.detach().flatten(1).isfinite().all(1) for p in self.model.parameters()]
        return torch.stack([self.sums[0].isfinite(), *weights]).all(0)

    @property
    def finished(self) -> bool:
        """Whether all restarts have had their epochs."""
        return self.progress.schedule.finished(self.config)

    def state(self) -> dict[str, Any]:
        """The progress as plain values."""
        return asdict(self.progress)

    def take_up(self, state: dict[str, Any], sums: torch.Tensor) -> None:
        """Go on from a state and its sums."""
        self.progress = Progress.from_dict(state)
        self.sums.copy_(sums)
