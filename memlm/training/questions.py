"""Answerers in training: restarts side by side, each with its own held-out questions.

R restarts, B questions a step, n training questions.
[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, section 4.2.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm import jsontext
from memlm.config.training import QATrainConfig
from memlm.data.questions.batches import Ids, plan_question_epoch
from memlm.data.questions.encode import QuestionSet, hold_out
from memlm.evaluation.answers import answer_all, judge
from memlm.evaluation.inputs import Feed
from memlm.evaluation.perplexity import Tick
from memlm.models.answerer import Answerer
from memlm.runs import checkpoint
from memlm.training.learner import Learner, norms_of_restarts
from memlm.training.optim import ClippedSGD
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Halving

LISTED = ("train_cost", "train_error", "valid_cost", "valid_error", "lr", "linear")  # in a line: a value a restart


class QuestionBatch(NamedTuple):
    """Numbers of questions (R, B), and the empty memories that are added to each: see data.questions.batches."""

    numbers: Ids
    blanks: Ids
    places: Ids


class QuestionLearner(Learner):
    """Restarts of an answerer. `task_of` is the task of each question."""

    sums = ("nats", "wrong")
    keeps_best = False
    model: Answerer
    config: QATrainConfig

    def __init__(
        self, model: Answerer, config: QATrainConfig, questions: QuestionSet, task_of: Ids, device: torch.device
    ) -> None:
        super().__init__(config, device, lambda: Halving.begin(config))
        self.model = model.to(device)
        self.feed = Feed(questions, model, device=device)
        held = [hold_out(len(questions), seed=seed, share=config.validation_share) for seed in config.seeds]
        self.train, self.valid = (np.stack(part) for part in zip(*held, strict=True))
        self._task_of_valid = task_of[self.valid]
        self.tasks = sorted(set(task_of.tolist()))
        self.optimizer = ClippedSGD(model.parameters(), clip=config.clip, over="matrix", restarts=config.restarts)
        self._straight: Tensor | None = None
        self.set_rates()

    def straight(self) -> Tensor | None:
        """Which restarts are in the linear start, without the softmax, (R, 1, 1); None if none is."""
        flags = [progress.schedule.straight for progress in self.progress]  # type: ignore[union-attr]
        return torch.tensor(flags, device=self.device)[:, None, None] if any(flags) else None

    def batches(self) -> Iterator[QuestionBatch]:
        """The remaining batches of the current epoch."""
        config, done = self.config, self.steps_done
        if not done:
            self._sums.zero_()
        plan = plan_question_epoch(
            self.train, self.feed.lengths, seeds=config.seeds, epoch=self.epoch, noise=config.noise
        )
        self.set_rates()
        self._straight = self.straight()
        self.steps_in_epoch = -(-self.train.shape[1] // config.batch_size)
        self.start_clock()
        places = (slice(at * config.batch_size, (at + 1) * config.batch_size) for at in range(self.steps_in_epoch))
        return (QuestionBatch(*(part[:, at] for part in plan)) for at in list(places)[done:])

    def step(self, batch: QuestionBatch) -> None:
        """One update of each restart on its summed loss."""
        numbers, blanks, places = batch
        scores, _ = self.model(self.feed(numbers, blanks, places), self._straight)
        nats, wrong = judge(scores, self.feed.answers[torch.from_numpy(numbers).to(self.device)])
        nats.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._sums[:2] += torch.stack([nats.detach().sum(1), wrong.sum(1)])
        self._sums[2] += self._sums[0].isfinite()
        for progress in self.progress:
            if progress.diverged is None:
                progress.step += 1
                progress.totals.steps += 1
                progress.totals.targets += numbers.shape[1]

    def validate(self, tick: Tick = lambda done, total: None) -> bool:
        """Answer the held-out questions and end the epoch. The best restart is chosen at the end of training."""
        tick(0, 1)
        answers = answer_all(self.model, self.feed, self.valid, self._straight)
        costs, wrong = answers.nats.mean(axis=1).tolist(), answers.wrong
        tasks = self._valid_errors(wrong)
        self.settle()  # the time of validation
        for restart, progress in enumerate(self.progress):
            if progress.diverged is not None:
                continue
            totals = progress.totals
            line = {
                "epoch": progress.epoch + 1,
                "step": progress.step,
                "train_cost": totals.nats / totals.targets,
                "train_error": 100 * (totals.wrong / totals.targets),
                "valid_cost": costs[restart],
                "valid_error": 100 * float(wrong[restart].mean()),
                "tasks": tasks[restart],
                "lr": progress.scheduled_rate(self.config),
                "linear": progress.schedule.straight,  # type: ignore[union-attr]
                "seconds": totals.seconds,
            }
            progress.end_epoch(self.config, line, costs[restart], {})
        return False

    def _valid_errors(self, wrong: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
        """Percent of wrong answers (R, n) by task, of each restart that holds out questions of it."""
        errors: list[dict[str, float]] = [{} for _ in self.progress]
        for task in self.tasks:
            of_task = self._task_of_valid == task
            counts, found = of_task.sum(axis=1), (wrong & of_task).sum(axis=1)
            for restart in np.flatnonzero(counts):
                errors[restart][str(task)] = float(100 * found[restart] / counts[restart])
        return errors

    @property
    def linear_epochs(self) -> list[int]:
        """Epochs of each restart's linear start."""
        return [progress.schedule.linear_epochs for progress in self.progress]  # type: ignore[union-attr]

    def line(self, epoch: int) -> dict[str, Any]:
        """The line of metrics.jsonl of epoch 1, 2, ...: a value per restart, None for one that had diverged."""
        lines = [each.history[epoch - 1] if len(each.history) >= epoch else None for each in self.progress]
        first = next(line for line in lines if line)
        listed = {key: [line and line[key] for line in lines] for key in LISTED}
        tasks = {
            task: [line["tasks"][task] for line in lines if line and task in line["tasks"]]
            for task in map(str, self.tasks)
        }
        return {key: listed.get(key, value) for key, value in first.items()} | {"tasks": tasks}

    def points(self, line: Mapping[str, Any]) -> dict[str, float]:
        """Means over the restarts, errors by task, and the share of restarts in the linear start."""
        means = {key: _mean(line[key]) for key in LISTED}
        return means | {f"valid_error_task_{task}": _mean(each) for task, each in line["tasks"].items() if each}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The progress in the format of the first release: lists over the restarts, and the sums (2, R)."""
        first = self.progress[0]
        each = [dataclasses.asdict(progress.schedule) for progress in self.progress]
        progress: dict[str, Any] = {
            "schedule": {key: [schedule[key] for schedule in each] for key in each[0]},
            "epoch": self.epoch,
            "step": self.steps,
            "steps": self.steps_done,
            "seconds": max(progress.totals.seconds for progress in self.progress),
            "history": self.history,
        }
        if set(progress["schedule"]["scale"]) == {1.0}:  # the format before learning rates could be halved
            del progress["schedule"]["scale"]
        if first.halvings:
            progress["halvings"] = first.halvings
        if any(each.diverged is not None for each in self.progress):
            progress["diverged"] = [each.diverged for each in self.progress]
        totals = [each.totals for each in self.progress]
        sums = torch.tensor([[each.nats for each in totals], [each.wrong for each in totals]], dtype=torch.float64)
        return {"progress": progress}, {"sums": sums}

    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        found, sums = values["progress"], tensors["sums"].tolist()
        schedules = {"scale": [1.0] * len(self.progress)} | found["schedule"]
        lines = [self._by_restart(line) for line in found["history"]]
        diverged = found.get("diverged", [None] * len(self.progress))
        steps = int(found["steps"])
        for restart, progress in enumerate(self.progress):
            own = [line[restart] for line in lines if line[restart]["train_cost"] is not None]
            self.progress[restart] = Progress(
                seed=progress.seed,
                schedule=jsontext.as_dataclass(Halving, {key: schedules[key][restart] for key in schedules}),
                epoch=len(own),
                step=int(found["step"]),
                totals=Totals(
                    nats=sums[0][restart],
                    wrong=sums[1][restart],
                    steps=steps,
                    targets=min(steps * self.config.batch_size, self.train.shape[1]),
                    seconds=float(found["seconds"]),
                ),
                halvings=found.get("halvings", 0),
                history=own,
            )
            at = diverged[restart]
            if at is None and len(own) < len(lines):  # the first release did not note the step
                at = own[-1]["step"] if own else 0
            if at is not None:
                self.progress[restart].drop(at)

    def _by_restart(self, line: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A line of metrics.jsonl split by restart. A restart that diverged has None for its costs."""
        there = [each is not None for each in line["train_cost"]]
        parts = [dict(line) | {key: line[key][r] for key in LISTED} | {"tasks": {}} for r in range(len(self.progress))]
        for task, found in line["tasks"].items():
            holding = np.flatnonzero((self._task_of_valid == int(task)).any(axis=1)).tolist()
            if len(found) != len(holding):
                holding = [restart for restart in holding if there[restart]]
            for restart, error in zip(holding, found, strict=True):
                parts[restart]["tasks"][task] = error
        return parts

    def extract(self, restart: int | None = None) -> Answerer:
        """A restart as a model of its own; by default that with the lowest validation loss."""
        chosen = (self.best_restart or 0) if restart is None else restart
        vocabulary_size = next(self.model.parameters()).shape[1]
        alone: Answerer = type(self.model)(self.model.config, vocabulary_size, 1)
        self.model.extract(chosen, alone)
        return alone

    @torch.no_grad()
    def start_from(self, state: checkpoint.Checkpoint) -> None:
        """Begin every restart with the weights of a checkpoint of a single model."""
        alone = self.extract(0)
        checkpoint.fill(alone, state)
        for ours, theirs in zip(self.model.parameters(), alone.parameters(), strict=True):
            ours.copy_(theirs)  # (1, ...) to (R, ...)

    def parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters of each restart together."""
        return norms_of_restarts(self.model)


def _mean(values: list[float | None]) -> float:
    there = [float(value) for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")
