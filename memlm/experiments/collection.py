"""A run of several tasks, each with a model of its own: a folder of runs, task-1, task-2, ..."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memlm.config.run import QAConfig, is_collection
from memlm.experiments.qa_fit import Observer, train_run
from memlm.models.device import choose_device
from memlm.runs import summary as runs
from memlm.runs.folder import RunFolder
from memlm.runs.summary import read_summary, together
from memlm.training.interfaces import Requests


def create(path: Path, config: QAConfig, *, overwrite: bool = False) -> RunFolder:
    """The folder of a new run; one with a run in it is refused unless `overwrite`."""
    return RunFolder.create(path, config, overwrite=overwrite)


def go_on(run: RunFolder, numbers: Sequence[int], observer: Observer, requests: Requests) -> bool:
    """Train what a run has left to train; False if `requests` ended it early. Tasks that are done are not done again.

    Each task is trained under its own folder's lock, as it may be resumed alone.
    """
    config = run.manifest().question_config
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
    config = run.manifest().question_config
    config = dataclasses.replace(config, train=config.train.replace(changes))
    run.note_resume(device=str(choose_device(config.train.device)))
    run.write_config(config)
