"""A run of several tasks, each with a model of its own: a folder of runs, task-1, task-2, ..."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memlm import jsontext
from memlm.config_qa import QAConfig
from memlm.errors import MemlmError
from memlm.qa import runs
from memlm.qa.fit import Observer, train_run
from memlm.runlog import RunFolder


def create(path: Path, config: QAConfig, *, overwrite: bool = False) -> RunFolder:
    """The folder of a new run; one with a run in it is refused unless `overwrite`."""
    return RunFolder.create(path, config, overwrite=overwrite)


def is_collection(config: QAConfig) -> bool:
    """Whether a run of these settings is a folder of runs, one a task."""
    return config.train.task == "all" and not config.train.joint


def go_on(run: RunFolder, numbers: Sequence[int], observer: Observer, stop: Callable[[], bool]) -> bool:
    """Train what a run has left to train; False if `stop` ended it early. Tasks that are done are not done again."""
    config = run.qa_config()
    if not is_collection(config):
        return train_run(run, numbers, observer, stop)
    for number in numbers:
        folder = runs.task_folder(run.path, number)
        if (folder / "summary.json").exists():
            continue
        own = dataclasses.replace(config, train=config.train.replace({"task": str(number)}))
        task_run = RunFolder.open(folder) if (folder / "config.toml").exists() else create(folder, own, overwrite=True)
        if not train_run(task_run, [number], observer, stop):
            return False
    run.write_json("summary.json", together([read_summary(runs.task_folder(run.path, n)) for n in numbers]))
    return True


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run of tasks from those of the tasks."""
    shared = {key: parts[0][key] for key in ("model", "label", "dataset", "size", "joint", "parameters")}
    sums = {key: sum(part[key] for part in parts) for key in ("epochs", "steps", "seconds")}
    errors = {task: error for part in parts for task, error in part["tasks"].items()}
    return shared | sums | runs.over_tasks(errors)


def read_summary(path: Path) -> dict[str, Any]:
    """The figures of a run that has ended."""
    found = path / "summary.json"
    if not found.exists():
        raise MemlmError(f"{path} has not ended yet: go on with `memlm train --resume {path}`")
    return dict(jsontext.read(found))
