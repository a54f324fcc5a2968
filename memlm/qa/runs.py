"""Runs of question answering on disk: the folder of a model, and the trained model in it.

A run of all tasks, each on its own, is a folder of such runs: task-1, task-2, ...
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from memlm import checkpoint
from memlm.config_qa import AnswererConfig, QAConfig
from memlm.data.vocab import WordList
from memlm.errors import MemlmError
from memlm.models.answerer import Answerer, MemoryAnswerer
from memlm.models.reader import LSTMAnswerer
from memlm.qa.evaluate import answer_all
from memlm.qa.feed import Feed
from memlm.qa.tasks import Tasks
from memlm.qa.train import Training
from memlm.runlog import RunFolder
from memlm.table1 import FAILED_ABOVE


def build(config: QAConfig, vocabulary_size: int, *, restarts: int) -> Answerer:
    """A model of so many restarts, its parameters not yet drawn."""
    if isinstance(config.model, AnswererConfig):
        return MemoryAnswerer(config.model, vocabulary_size, restarts)
    return LSTMAnswerer(config.model, vocabulary_size, restarts)


@dataclass(frozen=True, kw_only=True)
class TrainedAnswerer:
    """The best restart of a run, ready to answer."""

    run: RunFolder
    config: QAConfig
    words: WordList
    model: Answerer


def load(run: RunFolder, *, device: str | torch.device = "cpu") -> TrainedAnswerer:
    """The model of a run that has ended. Raises MemlmError if its files are missing, or of another model."""
    config, words = run.qa_config(), run.qa_vocabulary()
    model = build(config, len(words), restarts=1)
    checkpoint.fill(model, checkpoint.read(run.best))
    return TrainedAnswerer(run=run, config=config, words=words, model=model.to(device).eval())


def save(training: Training, run: RunFolder) -> None:
    """The state as the run's checkpoint `last`."""
    meta = {"step": training.progress.step, "progress": training.state()}
    checkpoint.save(run.last, training.model, meta, training={"sums": training.sums})


def restore(training: Training, run: RunFolder) -> None:
    """Go on from the run's checkpoint `last`, or the one before it where that is damaged."""
    state = checkpoint.read(run.last)
    checkpoint.fill(training.model, state)
    try:
        training.take_up(state.meta["progress"], state.training["sums"])
    except (KeyError, TypeError, RuntimeError):
        raise MemlmError(f"{state.folder} is damaged: it does not hold the state of a training") from None
    checkpoint.set_aside(run.last, state)


def conclude(training: Training, data: Tasks, run: RunFolder) -> dict[str, Any]:
    """Judge the restarts by their training error, keep the best one, and return the run's figures.

    Equal training errors are told apart by the training cost.
    """
    model, config = training.model, training.config
    train = answer_all(model, training.feed, training.train)
    test = answer_all(model, Feed(data.test, model, device=training.device), np.arange(len(data.test)))
    train_error, train_cost = train.wrong.mean(axis=1), np.nan_to_num(train.nats.mean(axis=1), nan=np.inf)
    best = int(np.lexsort((train_cost, train_error))[0])
    if not np.isfinite(train_cost[best]):
        raise MemlmError("no restart has a finite cost: try a lower --lr or --clip")
    alone = build(run.qa_config(), len(data.words), restarts=1)
    model.take(best, alone)
    checkpoint.save(run.best, alone, {"step": training.progress.step, "seed": config.seeds[best]})
    return {
        **by_task(test.wrong[best], data.test_task_of),
        "best": best,
        "restarts": [
            {
                "seed": config.seeds[r],
                "train_error": 100 * float(train_error[r]),
                "train_cost": float(train_cost[r]),
                "test_error": 100 * float(test.wrong[r].mean()),
                "tasks": by_task(test.wrong[r], data.test_task_of)["tasks"],
            }
            for r in range(config.restarts)
        ],
    }


def by_task(wrong: npt.NDArray[np.bool_], task_of: npt.NDArray[np.integer]) -> dict[str, Any]:
    """Keys tasks (number -> percent of wrong answers), mean_error and failed_tasks, of answers (Q,) of these tasks."""
    numbers = sorted(set(task_of.tolist()))
    return over_tasks({str(number): 100 * float(wrong[task_of == number].mean()) for number in numbers})


def over_tasks(errors: Mapping[str, float]) -> dict[str, Any]:
    """The tasks' errors in percent, with their mean and how many tasks fail."""
    return {
        "tasks": dict(errors),
        "mean_error": float(np.mean(list(errors.values()))),
        "failed_tasks": sum(error > FAILED_ABOVE for error in errors.values()),
    }


def task_folder(path: Path, task: int) -> Path:
    """Where a run of all tasks keeps the one of this task."""
    return path / f"task-{task}"
