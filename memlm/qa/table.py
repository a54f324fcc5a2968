"""Table 1 of the paper, measured: a run for each column, which goes on where it was stopped."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memlm.config import unknown_name
from memlm.config_qa import QAConfig
from memlm.errors import MemlmError
from memlm.qa import collection, tasks
from memlm.qa.fit import Observer
from memlm.recipes_qa import QA_RECIPES, qa_recipe
from memlm.runlog import RunFolder
from memlm.table1 import TABLE1


def column_config(name: str, *, size: str, restarts: int, seed: int, dataset: str = "babi") -> QAConfig:
    """The settings of a column. Raises MemlmError for one that the paper lacks, or that memlm only quotes."""
    if name not in TABLE1:
        raise unknown_name("column of Table 1", name, QA_RECIPES)
    if TABLE1[name].quoted:
        raise MemlmError(
            f"{name} is quoted from the paper, memlm has no such model: known are {', '.join(QA_RECIPES)}"
        )
    config = qa_recipe(name, size=size)
    train = config.train.replace({"restarts": restarts, "seed": seed})
    return dataclasses.replace(config, dataset=dataset, train=train)


def reproduce(path: Path, config: QAConfig, observer: Observer, stop: Callable[[], bool]) -> dict[str, Any] | None:
    """The figures of a column from its run at `path`, which is made, gone on with or, if it is whole, only read.

    None if `stop` ended it early. Raises MemlmError if the run there is of other settings.
    """
    with RunFolder(path).held():
        return _go_on(path, config, observer, stop)


def _go_on(path: Path, config: QAConfig, observer: Observer, stop: Callable[[], bool]) -> dict[str, Any] | None:
    if (path / "config.toml").exists():
        run = RunFolder.open(path)
        found = run.qa_config()  # whose memory may be smaller, as its stories are
        if (
            found.train != config.train
            or found.model.replace({"memory_size": config.model.memory_size}) != config.model
        ):
            raise MemlmError(f"{path} holds a run of other settings: choose another --run-dir")
    else:
        run = collection.create(path, config)
    if not (path / "summary.json").exists():
        numbers, _ = tasks.task_numbers(config.dataset, config.train)
        if not collection.go_on(run, numbers, observer, stop):
            return None
    return collection.read_summary(path)


def compare(measured: dict[str, dict[str, Any]], size: str) -> dict[str, Any]:
    """Paper and measured figures of each column, by name: tasks, mean_error, failed_tasks; and absent tasks."""
    columns = {}
    for name, summary in measured.items():
        paper = TABLE1[name]
        own = {key: summary[key] for key in ("tasks", "mean_error", "failed_tasks", "seconds")}
        columns[name] = {
            "measured": own,
            "paper": {
                "tasks": {str(task): error for task, error in enumerate(paper.errors, 1)} if size == "1k" else {},
                "mean_error": paper.mean_error[size],
                "failed_tasks": paper.failed_tasks[size],
            },
            "absent": [task for task in range(1, len(paper.errors) + 1) if str(task) not in own["tasks"]],
        }
    return columns


def rows(columns: dict[str, Any], names: Sequence[str]) -> list[list[Any]]:
    """A row a task, then the mean and the failed tasks; the paper's figure and the measured one for each column."""

    def row(label: str, figure: Callable[[dict[str, Any]], float | None], form: str = ".1f") -> list[Any]:
        cells = [figure(part[kind]) for part in columns.values() for kind in ("paper", "measured")]
        return [label, *(None if cell is None else format(cell, form) for cell in cells)]

    table = [row(f"{n}: {name}", lambda part, n=n: part["tasks"].get(str(n))) for n, name in enumerate(names, 1)]  # type: ignore[misc]
    return [
        *table,
        row("mean error (%)", lambda part: part["mean_error"]),
        row("failed tasks", lambda part: part["failed_tasks"], "d"),
    ]
