"""A training session of question answering at the terminal."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from memlm import format
from memlm.cli.show.bars import BarDisplay
from memlm.config.run import QAConfig
from memlm.data.questions import tasks
from memlm.data.questions.tasks import task_names
from memlm.errors import MemlmError
from memlm.experiments import collection
from memlm.runs import summary as collection_summary
from memlm.runs.folder import RunFolder, free_folder
from memlm.training.interfaces import Requests
from memlm.training.questions import Training


@dataclasses.dataclass(kw_only=True)
class QASession:
    """A run of one task, of all tasks together or of each on its own, ready to train."""

    run: RunFolder
    config: QAConfig

    def train(self, requests: Requests) -> None:
        """Train until done or stopped."""
        numbers, absent = tasks.task_numbers(self.config.dataset, self.config.train)
        for reason in absent:
            click.echo(f"left out: {reason}")
        with Display(self.config) as display:
            if not collection.go_on(self.run, numbers, display, requests):
                display.say(f"stopped; nothing is lost. To go on:\n    memlm train --resume {self.run.path}")
                return
        summary = collection_summary.read_summary(self.run.path)
        shown = f"mean error {summary['mean_error']:.1f}%, {summary['failed_tasks']} of {len(summary['tasks'])} failed"
        click.echo(f"{self.run.path}: {shown}, {format.duration(summary['seconds'])}")


@contextmanager
def start(config: QAConfig, run_dir: Path | None, *, overwrite: bool) -> Iterator[QASession]:
    """A session of a new run, which no other process trains meanwhile."""
    config = config.resolved()
    tasks.task_numbers(config.dataset, config.train)  # what can't be trained is said before a folder is made
    which = "joint" if config.train.joint else f"task-{config.train.task}"
    path = run_dir or free_folder(f"{config.dataset}-{which}-{config.train.size}-{config.model.label}")
    run = RunFolder(path)
    run.check_room(overwrite=overwrite)
    with run.held():
        yield QASession(run=collection.create(path, config, overwrite=overwrite), config=config)


@contextmanager
def resume(path: Path, changes: Mapping[str, Any]) -> Iterator[QASession]:
    """A session that goes on with a run, with `changes` of settings that are safe to change."""
    run = RunFolder.open(path)
    with run.held():
        if run.read_json("summary.json"):
            raise MemlmError(f"{path} has finished: `memlm eval {path}` shows its errors")
        collection.note_resume(run, changes)
        yield QASession(run=run, config=run.manifest().question_config)


class Display(BarDisplay):
    """A line for each model that has ended, and a bar of epochs where standard error is a terminal."""

    def __init__(self, config: QAConfig, *, to_stderr: bool = False) -> None:
        self._config, self._to_stderr = config, to_stderr
        figures = "train {task.fields[train]:.1f}%  valid {task.fields[valid]:.1f}%"
        super().__init__("{task.fields[what]}", figures, what="", train=0.0, valid=0.0)

    def say(self, line: str) -> None:
        """A line on standard output, or on standard error."""
        click.echo(line, err=self._to_stderr)

    def begin(self, training: Training, numbers: Sequence[int], run: RunFolder) -> None:
        """Say what is trained now."""
        config = self._config
        names = task_names(config.dataset)
        self._what = f"task {numbers[0]}: {names[numbers[0] - 1]}" if len(numbers) == 1 else f"{len(numbers)} tasks"
        if training.progress.step:
            self.say(f"{self._what}: going on after epoch {training.progress.epoch}")
        linear = config.train.linear_epochs if config.train.linear_start != "no" else 0
        total = config.train.epochs + linear
        self._bar.update(self._task, visible=True, total=total, completed=0, what=self._what)

    def saved(self, step: int) -> None:
        """A line for a checkpoint that was asked for."""
        self.say(f"saved at step {step}")

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Move the bar on."""
        train, valid = (float(np.mean(metrics[f"{part}_error"])) for part in ("train", "valid"))
        self._bar.update(self._task, completed=metrics["epoch"], train=train, valid=valid)
        if self._config.train.joint:  # an epoch of all tasks takes long enough to be told
            linear = f", {sum(metrics['linear'])} in the linear start" if any(metrics["linear"]) else ""
            self.say(
                f"epoch {metrics['epoch']:3}  train {train:4.1f}%  valid {valid:4.1f}%  (means of restarts{linear}; "
                f"{format.duration(metrics['seconds'])})"
            )

    def end(self, summary: dict[str, Any]) -> None:
        """The line of a model that has ended."""
        best = summary["restarts"][summary["best"]]
        self.say(
            f"{self._what:30} test error {summary['mean_error']:5.1f}%  (train {best['train_error']:.1f}%, "
            f"seed {best['seed']} of {len(summary['restarts'])}; {summary['epochs']} epochs, "
            f"{format.duration(summary['seconds'])})"
        )
