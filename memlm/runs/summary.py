"""The summary of a run of question answering."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memlm import jsontext
from memlm.config.paper import FAILED_ABOVE
from memlm.errors import MemlmError
from memlm.runs import summary as runs
from memlm.runs.folder import RunFolder


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
