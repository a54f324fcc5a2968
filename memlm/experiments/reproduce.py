"""Reproduces Table 1 of the paper: one run per column, which resumes if it was stopped."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memlm.config import paper
from memlm.config.paper import TABLE1
from memlm.config.recipes import recipe
from memlm.config.run import QAConfig
from memlm.errors import MemlmError, unknown_name
from memlm.evaluation.records import EVALUATIONS
from memlm.experiments import question_run
from memlm.inference.load import load_tasks
from memlm.runs import summary as collection_summary
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer, Requests

MEASURED = ("tasks", "mean_error", "failed_tasks", "support", "seconds")  # results of a run that a column shows


def column_config(name: str, *, size: str, restarts: int, seed: int, device: str = "auto") -> QAConfig | None:
    """The settings of a column, or None if it is only quoted from the paper.

    Raises MemlmError if Table 1 has no such column.
    """
    if name not in TABLE1:
        raise unknown_name("column of Table 1", name, TABLE1)
    if TABLE1[name].quoted:
        return None
    config: QAConfig = recipe(name, size=size)
    train = config.train.replace({"restarts": restarts, "seed": seed, "device": device})
    return dataclasses.replace(config, train=train)


def reproduce(
    path: Path, config: QAConfig, observers: Sequence[Observer], requests: Requests
) -> dict[str, Any] | None:
    """Train the run of a column at `path`, and return its summary with its `support`.

    A run that was stopped is resumed, and a finished one is only read. The result is None if `requests` stopped the
    run. Raises MemlmError if the run at `path` has other settings.
    """
    with RunFolder(path).locked():
        summary = _train_or_resume(path, config, observers, requests)
        return None if summary is None else summary | {"support": _support(path, config.train.device)}


def _train_or_resume(
    path: Path, config: QAConfig, observers: Sequence[Observer], requests: Requests
) -> dict[str, Any] | None:
    ended = (path / "summary.json").exists()
    if (path / "config.toml").exists():
        run = RunFolder.open(path)
        found = run.manifest().question_config  # whose memory may be smaller, as its stories are
        wanted = config.train.replace({"device": found.train.device})  # which may change
        if found.train != wanted or found.model.replace({"memory_size": config.model.memory_size}) != config.model:
            raise MemlmError(f"the run in {path} has other settings: choose another --run-dir")
        if not ended:
            question_run.note_resume(run, {"device": config.train.device})
    else:
        run = RunFolder.create(path, config)
    if not ended:
        return question_run.opened(run).train(observers, requests)
    return collection_summary.read_summary(path)


def _support(path: Path, device: str) -> dict[str, float | None]:
    """By task, the share of questions for which a hop attends most to a supporting sentence.

    Taken from the run's saved evaluation. Without one, the run is evaluated now, and the evaluation is saved.
    """
    kept = RunFolder.open(path).read_json(EVALUATIONS).get("test")
    if kept is None:
        model = load_tasks(path, device=device)
        kept = model.evaluate()
        model.record(kept)
    return dict(kept["support"])


def beside_the_paper(measured: Mapping[str, dict[str, Any] | None], size: str) -> dict[str, Any]:
    """For each column: the measured results, the paper's results over the same tasks, and the tasks left out.

    A column that is only quoted has no measured results, and the paper's results over all tasks.
    """
    columns = {}
    for name, summary in measured.items():
        everything = range(1, len(TABLE1[name].errors) + 1)
        numbers = everything if summary is None else [int(task) for task in summary["tasks"]]
        columns[name] = {
            "measured": None if summary is None else {key: summary[key] for key in MEASURED},
            "quoted": summary is None,
            "paper": paper.figures(name, numbers, size),
            "absent": [task for task in everything if task not in numbers],
        }
    return columns
