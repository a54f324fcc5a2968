"""summary.json of a question-answering run: its keys, and errors by task.

Q questions.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memlm import jsontext
from memlm.config.paper import FAILED_ABOVE
from memlm.errors import MemlmError
from memlm.runs.folder import RunFolder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The keys that summary.json has for every run, of one model or of several."""

    model: str
    label: str
    dataset: str
    size: str
    joint: bool
    parameters: int
    epochs: int
    steps: int
    seconds: float
    tasks: dict[str, float]  # task number -> percent of wrong answers
    mean_error: float
    failed_tasks: int


SUMMARY = dataclasses.fields(Summary)


def join_summaries(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run with one model per task, from the summaries of its tasks."""
    shared = {key: parts[0][key] for key in ("model", "label", "dataset", "size", "joint", "parameters")}
    sums = {key: sum(part[key] for part in parts) for key in ("epochs", "steps", "seconds")}
    errors = {task: error for part in parts for task, error in part["tasks"].items()}
    return shared | sums | summarise_errors(errors)


def read_summary(path: Path) -> dict[str, Any]:
    """summary.json of a finished run. Raises MemlmError if the run has not ended, or if a figure is missing."""
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


def errors_by_task(wrong: npt.NDArray[np.bool_], task_of: npt.NDArray[np.integer]) -> dict[str, Any]:
    """The same keys as `summarise_errors`, from which answers are wrong (Q,) and the task number of each (Q,)."""
    numbers = sorted(set(task_of.tolist()))
    return summarise_errors({str(number): 100 * float(wrong[task_of == number].mean()) for number in numbers})


def summarise_errors(errors: Mapping[str, float]) -> dict[str, Any]:
    """Keys tasks (task number -> error in percent), mean_error (percent) and failed_tasks (how many fail)."""
    return {
        "tasks": dict(errors),
        "mean_error": float(np.mean(list(errors.values()))),
        "failed_tasks": sum(error > FAILED_ABOVE for error in errors.values()),
    }


def task_folder(path: Path, task: int) -> Path:
    """The folder of one task, in the folder of a run of all tasks."""
    return path / f"task-{task}"
