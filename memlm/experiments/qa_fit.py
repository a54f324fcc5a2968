"""A run from its folder to its figures: training until it ends or is stopped, and what is kept and drawn meanwhile.

[C] is the code of Sukhbaatar et al. 2015, https://github.com/facebookarchive/MemNN.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from memlm.config.run import QAConfig
from memlm.data.questions import tasks
from memlm.errors import MemlmError
from memlm.evaluation.plots.pictures import pixels
from memlm.evaluation.plots.story import story_attended
from memlm.experiments import qa_runs
from memlm.inference import load
from memlm.inference.ask import ask
from memlm.models import build
from memlm.models.device import choose_device
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.runs.tensorboard import Curves, write_result
from memlm.training.interfaces import DivergedError, Requests
from memlm.training.questions import Training

SAVE_EVERY = 30.0  # seconds between checkpoints: an epoch of a small task takes a tenth of one


class Observer(Protocol):
    """Is told how training goes."""

    def begin(self, training: Training, numbers: Sequence[int], run: RunFolder) -> None:
        """Before the first epoch of a model for these tasks."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """After each epoch: its line of metrics.jsonl."""

    def saved(self, step: int) -> None:
        """After a checkpoint that was asked for."""

    def end(self, summary: dict[str, Any]) -> None:
        """After the last epoch: the figures."""


def train_run(run: RunFolder, numbers: Sequence[int], observer: Observer, requests: Requests) -> bool:
    """Train the model of a run that was made or stopped before; False if `requests` ended it early.

    At the end the best restart is kept and summary.json written. Raises MemlmError if the questions are not those that
    the run began with.
    """
    config = run.manifest().question_config
    data = tasks.load_tasks(config.dataset, numbers, size=config.train.size, memory_size=config.model.memory_size)
    if data.train.stories.shape[1] < config.model.memory_size:  # as in [C], no slot that no story of training fills
        config = dataclasses.replace(config, model=config.model.replace({"memory_size": data.train.stories.shape[1]}))
    began_with = run.environment().setdefault("data_sha256", data.sha256)
    if began_with != data.sha256:
        raise MemlmError(f"the questions of {config.dataset} are not those that {run.path} began with: put those back")
    run.write_json("env.json", run.environment() | {"data_sha256": data.sha256})
    run.note_made_with(config, data.words)
    model = build.build_answerer(config, len(data.words), restarts=config.train.restarts)
    model.initialise(config.train.seeds)
    device = choose_device(config.train.device)
    training = Training(model, config.train, data.train, data.train_task_of, device)
    if checkpoint.exists(run.last):
        qa_runs.restore(training, run)
    observer.begin(training, numbers, run)
    if not fit(training, run, observer, requests):
        return False
    summary = _summary(config, training, numbers) | qa_runs.conclude(training, data, run)
    figures = {f"test_error_task_{task}": error for task, error in summary["tasks"].items()}
    _draw_examples(run, data, training.progress.epoch)
    write_result(run.path, config, figures | {"mean_error": summary["mean_error"]}, training.progress.step)
    run.write_json("summary.json", summary)
    observer.end(summary)
    return True


def _draw_examples(run: RunFolder, data: tasks.Tasks, epoch: int) -> None:
    """A story of each task among TensorBoard's pictures, with what each hop of the best restart looks at."""
    model, curves = load.load_task(run).model, Curves(run.path, step=epoch, epoch=epoch)
    for task, question in data.examples.items():
        answer = ask(model, data.words, question)
        if answer.attention is not None:
            curves.picture(f"story/task_{task}", pixels(story_attended(answer)), epoch)
    curves.close()


def _summary(config: QAConfig, training: Training, numbers: Sequence[int]) -> dict[str, Any]:
    progress = training.progress
    return {
        "model": config.model.name,
        "label": config.model.label,
        "dataset": config.dataset,
        "size": config.train.size,
        "joint": config.train.joint,
        "parameters": training.model.parameter_count,
        "epochs": progress.epoch,
        "steps": progress.step,
        "seconds": sum(epoch["seconds"] for epoch in progress.history),
        "linear_epochs": progress.schedule.linear_epochs,
    }


def fit(training: Training, run: RunFolder, observer: Observer, requests: Requests) -> bool:
    """Train all restarts to their last epoch; False if `requests` ended it early. What was done is saved either way.

    Raises DivergedError, and leaves what was saved as it is, once no restart is finite.
    """
    progress = training.progress
    curves = Curves(run.path, step=progress.epoch, epoch=progress.epoch)
    saved = time.monotonic()

    def stop() -> bool:
        if requests.save():
            _keep(training, run)
            observer.saved(progress.step)
        return requests.stop()

    try:
        run.write_metrics(progress.history)
        while not training.finished:
            if not training.epoch(stop):
                break
            _refuse_diverged(training, run)
            metrics = training.end_epoch()
            observer.epoch(metrics)
            curves.add("epoch", points(metrics), progress.epoch)
            if time.monotonic() - saved > SAVE_EVERY:
                _keep(training, run)
                saved = time.monotonic()
        _keep(training, run)
        return training.finished
    finally:
        curves.close()


def _keep(training: Training, run: RunFolder) -> None:
    _refuse_diverged(training, run)
    qa_runs.save(training, run)
    run.write_metrics(training.progress.history)


def _refuse_diverged(training: Training, run: RunFolder) -> None:
    """Raise DivergedError if no restart is finite: it names the epoch under way, its rate and the last good state."""
    if training.finite().any():
        return
    progress = training.progress
    good = ""
    if checkpoint.exists(run.last):
        good = f"; {run.last}, of step {checkpoint.step_of(run.last)}, is the last good state"
    raise DivergedError(
        f"{run.path}: no restart has a finite cost in epoch {progress.epoch + 1}, at learning rate "
        f"{max(progress.schedule.rates(training.config)):.4g}{good}: train anew with a lower --lr or --clip"
    )


def points(metrics: dict[str, Any]) -> dict[str, float]:
    """The curves' points of an epoch: means over the restarts, errors by task, and the share in the linear start."""
    names = ("train_cost", "train_error", "valid_cost", "valid_error", "lr", "linear")
    means = {name: float(np.mean(metrics[name])) for name in names}
    return means | {
        f"valid_error_task_{task}": float(np.mean(each)) for task, each in metrics["tasks"].items() if each
    }
