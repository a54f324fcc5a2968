"""The training loop. It can be killed at any time and resumes exactly."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memlm.config.training import QATrainConfig, TrainConfig
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import Tick
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import DivergedError, Observers, Requests
from memlm.training.learner import Learner

MAX_HALVINGS = 5
STOPPED = "stopped"  # the reason for the end of training after a stop request

logger = logging.getLogger(__name__)


class Due:
    """Decides when a checkpoint is due: so many steps or seconds after the last one."""

    def __init__(self, config: TrainConfig | QATrainConfig, step: int) -> None:
        self._steps, self._seconds = config.checkpoint_interval
        self.saved(step)

    def __call__(self, step: int) -> bool:
        """Whether it is time."""
        return step - self._step >= self._steps or time.monotonic() - self._time >= self._seconds

    def saved(self, step: int) -> None:
        """A checkpoint was made at this step."""
        self._step, self._time = step, time.monotonic()


class Stopped(Exception):  # noqa: N818, it is no error
    """A stop request interrupted validation."""


def fit(learner: Learner, run: RunFolder, observers: Observers, requests: Requests) -> str:
    """Train until the epochs, the steps or the learning rate run out, or a stop is requested. Returns the reason.

    Each epoch ends with validation, the schedule, the checkpoints `last` and `best`, and metrics.jsonl. The process
    may be killed between any two of these, and within an epoch: the run resumes from `last` and ends the same. A
    limit of steps ends with validation too. Raises DivergedError and leaves the last good checkpoint as it was.
    """
    while True:
        observers.tell("began", learner, run)
        try:
            return _Fit(learner, run, observers, requests).to_the_end()
        except DivergedError as error:
            _go_back(learner, run, error)


def _go_back(learner: Learner, run: RunFolder, error: DivergedError) -> None:
    """Return to the last checkpoint with half the learning rate, and save that. Raises if settings forbid it."""
    good = f"{run.last}, of step {checkpoint.step_of(run.last)}, is the last good state"
    if learner.config.on_divergence == "stop":
        halve = ", or --on-divergence halve" if learner.config.restarts == 1 else ""
        raise DivergedError(f"{error}; {good}: try a lower --lr or --clip{halve}") from None
    if learner.progress[0].halvings == MAX_HALVINGS:
        raise DivergedError(
            f"{error}, which was halved {MAX_HALVINGS} times; {good}: try a lower --lr or --clip"
        ) from None
    learner.load(run)
    learner.halve()
    learner.save(run)
    rate = learner.progress[0].scheduled_rate(learner.config)
    logger.warning("%s; going on from step %d at half the rate, %.4g", error, learner.steps, rate)


def train(
    learner: Learner,
    run: RunFolder,
    observers: Observers,
    requests: Requests,
    conclude: Callable[[str, Tick], dict[str, Any]],
) -> dict[str, Any] | None:
    """Train to the end and write summary.json. Returns the summary, or None after a stop request.

    `conclude` evaluates the result and makes the summary. Its arguments are the reason for the end of training, and a
    `tick` that it calls during its work: a stop request is raised from there.
    """
    why = fit(learner, run, observers, requests)
    summary = None
    if why != STOPPED:
        with suppress(Stopped):
            summary = conclude(why, lambda done, total: _heed(observers.stop or requests.stop()))
    if summary is not None:
        observers.tell("concluded", learner, summary)  # TensorBoard comes first: the summary ends the run
        run.write_json("summary.json", summary)
    observers.tell("ended", learner, summary)
    return summary


def _heed(stop: bool) -> None:
    if stop:
        raise Stopped


@dataclass
class _Fit:
    """One attempt of `fit`, until training ends or diverges."""

    learner: Learner
    run: RunFolder
    observers: Observers
    requests: Requests

    def __post_init__(self) -> None:
        self.due = Due(self.learner.config, self.learner.steps)

    def to_the_end(self) -> str:
        learner = self.learner
        learner.start_clock()
        restore_best(learner, self.run)
        self.run.write_metrics(learner.history)
        if not checkpoint.exists(self.run.last):
            self.keep()  # there is always a good state to return to
        while learner.steps_done or not learner.finished:
            whole = self.epoch()
            if not whole:
                self.keep()
                if not learner.finished:
                    return STOPPED
            if not learner.steps_done:
                self.keep()
                continue  # the last restarts diverged
            try:
                self.end_epoch(whole=whole)
            except Stopped:
                self.keep()
                return STOPPED
        return learner.finished

    def epoch(self) -> bool:
        """Train on the rest of the current epoch. False if a stop request or the limit of steps ended it early."""
        learner = self.learner
        for batch in learner.batches():
            if self.stop() or learner.finished:
                return False
            learner.step(batch)
            if learner.wants_point():
                self.log()
            if self.due(learner.steps):
                self.keep()
            if self.requests.save():
                self.keep(asked=True)
        self.log()
        return learner.epoch_is_whole

    def end_epoch(self, *, whole: bool) -> None:
        """Validate and save. `last` comes first: `best` and metrics.jsonl can be restored from it."""
        learner, before = self.learner, self.learner.epoch
        improved = learner.validate(self.check_stop)
        if learner.epoch == before:  # all restarts of this epoch diverged: it has no metrics
            self.keep()
            return
        self.observers.tell("epoch", learner, learner.line(learner.epoch), improved)
        save = learner.config.saves_each_epoch or self.due(learner.steps) or bool(learner.finished)
        if not whole:  # a limit of steps, which may be raised: `last` stays within the epoch
            self.run.write_metrics(learner.history)
        elif save:
            self.keep()
        if improved:
            checkpoint.save(self.run.best, learner.extract(), learner.about_best)

    def log(self) -> None:
        """Report the steps since the last report."""
        if (found := self.learner.point()) is not None:
            self.observers.tell("point", self.learner, *found)

    def keep(self, *, asked: bool = False) -> None:
        """Save the current state as `last`."""
        self.learner.save(self.run)
        self.run.write_metrics(self.learner.history)
        self.due.saved(self.learner.steps)
        self.observers.tell("saved", self.learner, asked)

    def stop(self) -> bool:
        """Whether a stop was requested."""
        return self.observers.stop or self.requests.stop()

    def check_stop(self, done: int, total: int) -> None:
        """Interrupt validation after a stop request. The run then resumes at the last step of the epoch."""
        _heed(self.stop())


def restore_best(learner: Learner, run: RunFolder) -> None:
    """Make the checkpoint `best` agree with the progress, where that is possible.

    They disagree if the run was killed between saving `last` and `best`, or if a limit of steps ended an epoch early
    and was raised since.
    """
    if learner.best is None or not learner.keeps_best:
        return
    steps: list[int | None] = []
    for folder in (run.best, checkpoint.previous(run.best)):
        try:
            steps.append(checkpoint.read_this(folder).step)
        except MemlmError:
            steps.append(None)
    if learner.best.best_step == steps[0]:
        return
    if learner.best.is_best:
        checkpoint.save(run.best, learner.extract(), learner.about_best)
    elif learner.best.best_step == steps[1]:
        checkpoint.restore_previous(run.best)
