"""Runs of question answering on disk: the folder of a model, and the trained model in it.

A run of all tasks, each on its own, is a folder of such runs: task-1, task-2, ...
"""

from typing import Any

import numpy as np

from memlm.data.questions.tasks import Tasks
from memlm.errors import MemlmError
from memlm.evaluation.answers import answer_all
from memlm.evaluation.inputs import Feed
from memlm.models.build import build_answerer
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.runs.summary import by_task
from memlm.training.questions import Training


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
    alone = build_answerer(run.manifest().question_config, len(data.words), restarts=1)
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
