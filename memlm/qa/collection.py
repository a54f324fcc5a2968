"""A run of several tasks, each with a model of its own: a folder of runs, task-1, task-2, ..."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memlm import jsontext
from memlm.config_qa import QAConfig
from memlm.errors import MemlmError
from memlm.qa import runs
from memlm.qa.fit import Observer, train_run
from memlm.roles import Requests
from memlm.runlog import RunFolder
from memlm.train import choose_device


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What summary.json holds of every run, be it of one model or of several."""

    model: str
    label: str
    dataset: str
    size: str
    joint: bool
    parameters: int
    epochs: int
    steps: int
    seconds: float
    tasks: dict[str, float]  # number -> percent of wrong answers
    mean_error: float
    failed_tasks: int


SUMMARY = dataclasses.fields(Summary)


def create(path: Path, config: QAConfig, *, overwrite: bool = False) -> RunFolder:
    """The folder of a new run; one with a run in it is refused unless `overwrite`."""
    return RunFolder.create(path, config, overwrite=overwrite)


def is_collection(config: QAConfig) -> bool:
    """Whether a run of these settings is a folder of runs, one a task."""
    return config.train.task == "all" and not config.train.joint


def go_on(run: RunFolder, numbers: Sequence[int], observer: Observer, requests: Requests) -> bool:
    """Train what a run has left to train; False if `requests` ended it early. Tasks that are done are not done again.

    Each task is trained under its own folder's lock, as it may be resumed alone.
    """
    config = run.qa_config()
    if not is_collection(config):
        return train_run(run, numbers, observer, requests)
    for number in numbers:
        folder = runs.task_folder(run.path, number)
        if (folder / "summary.json").exists():
            continue
        with RunFolder(folder).held():
            if not train_run(_task_run(folder, config, number), [number], observer, requests):
                return False
    run.write_json("summary.json", together([read_summary(runs.task_folder(run.path, n)) for n in numbers]))
    return True


def _task_run(folder: Path, config: QAConfig, number: int) -> RunFolder:
    """The run of a task, made or gone on with; it computes where the run of all does."""
    if not (folder / "config.toml").exists():
        own = config.train.replace({"task": str(number)})
        return create(folder, dataclasses.replace(config, train=own), overwrite=True)
    run = RunFolder.open(folder)
    note_resume(run, {"device": config.train.device})
    return run


def note_resume(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Change settings of a run that goes on, and note in env.json that it does."""
    config = run.qa_config()
    config = dataclasses.replace(config, train=config.train.replace(changes))
    run.note_resume(device=str(choose_device(config.train.device)))
    run.write_config(config)


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run of tasks from those of the tasks."""
    shared = {key: parts[0][key] for key in ("model", "label", "dataset", "size", "joint", "parameters")}
    sums = {key: sum(part[key] for part in parts) for key in ("epochs", "steps", "seconds")}
    errors = {task: error for part in parts for task, error in part["tasks"].items()}
    return shared | sums | runs.over_tasks(errors)


def read_summary(path: Path) -> dict[str, Any]:
    """The figures of a run that has ended. Raises MemlmError if it has not, or if they are not all there."""
    if not (path / "summary.json").exists():
        raise MemlmError(f"{path} has not ended yet: go on with `memlm train --resume {path}`")
    found = RunFolder(path).read_json("summary.json")
    try:
        summary = jsontext.as_dataclass(Summary, {field.name: found[field.name] for field in SUMMARY})
        if not summary.tasks or not all(
            task.isdecimal() and 0 <= error <= 100 for task, error in summary.tasks.items()
        ):
            raise TypeError("tasks")
    except (KeyError, TypeError):
        raise MemlmError(f"{path / 'summary.json'} is damaged: it does not hold the figures of a run") from None
    return found
