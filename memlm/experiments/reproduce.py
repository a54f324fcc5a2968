"""Table 1 of the paper, measured: a run for each column, which goes on where it was stopped."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memlm.config import paper
from memlm.config.paper import TABLE1
from memlm.config.recipes import qa_recipe
from memlm.config.run import QAConfig
from memlm.data.questions import tasks
from memlm.errors import MemlmError, unknown_name
from memlm.evaluation.records import EVALUATIONS
from memlm.experiments import collection
from memlm.experiments.qa_fit import Observer
from memlm.inference.load import load_tasks
from memlm.runs import summary as collection_summary
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Requests

MEASURED = ("tasks", "mean_error", "failed_tasks", "support", "seconds")  # what a column shows of its run


def column_config(name: str, *, size: str, restarts: int, seed: int, device: str = "auto") -> QAConfig | None:
    """The settings of a column; None for one that is only quoted. Raises MemlmError for one that the paper lacks."""
    if name not in TABLE1:
        raise unknown_name("column of Table 1", name, TABLE1)
    if TABLE1[name].quoted:
        return None
    config = qa_recipe(name, size=size)
    train = config.train.replace({"restarts": restarts, "seed": seed, "device": device})
    return dataclasses.replace(config, train=train)


def reproduce(path: Path, config: QAConfig, observer: Observer, requests: Requests) -> dict[str, Any] | None:
    """The summary of a column's run at `path`, which is made, gone on with or, if it is whole, only read; and support.

    None if `requests` ended it early. Raises MemlmError if the run there is of other settings.
    """
    with RunFolder(path).held():
        summary = _go_on(path, config, observer, requests)
        return None if summary is None else summary | {"support": _support(path, config.train.device)}


def _go_on(path: Path, config: QAConfig, observer: Observer, requests: Requests) -> dict[str, Any] | None:
    ended = (path / "summary.json").exists()
    if (path / "config.toml").exists():
        run = RunFolder.open(path)
        found = run.manifest().question_config  # whose memory may be smaller, as its stories are
        wanted = config.train.replace({"device": found.train.device})  # which may change
        if found.train != wanted or found.model.replace({"memory_size": config.model.memory_size}) != config.model:
            raise MemlmError(f"{path} holds a run of other settings: choose another --run-dir")
        if not ended:
            collection.note_resume(run, {"device": config.train.device})
    else:
        run = collection.create(path, config)
    if not ended:
        numbers, _ = tasks.task_numbers(config.dataset, config.train)
        if not collection.go_on(run, numbers, observer, requests):
            return None
    return collection_summary.read_summary(path)


def _support(path: Path, device: str) -> dict[str, float | None]:
    """The share of support of a run's tasks, from the evaluation that is kept with it, made now if there is none."""
    kept = RunFolder.open(path).read_json(EVALUATIONS).get("test")
    if kept is None:
        model = load_tasks(path, device=device)
        kept = model.evaluate()
        model.record(kept)
    return dict(kept["support"])


def beside_the_paper(measured: Mapping[str, dict[str, Any] | None], size: str) -> dict[str, Any]:
    """Of each column, by name, the measured figures, the paper's over the same tasks, and the absent tasks.

    A column that is only quoted has nothing measured, and all of the paper's figures.
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
