"""Load a trained model from its run folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from memlm.config.run import is_collection
from memlm.errors import MemlmError
from memlm.inference.questions import TrainedAnswerer, TrainedTasks
from memlm.inference.text import TrainedModel
from memlm.models.build import build, build_answerer
from memlm.models.device import choose_device
from memlm.runs import checkpoint as checkpoints
from memlm.runs import summary
from memlm.runs.folder import RunFolder
from memlm.runs.manifest import Manifest

CHECKPOINTS = ("best", "last")


def load(run: str | Path, *, checkpoint: str = "best", device: str = "cpu", task: int | None = None) -> Any:
    """The model of a run folder: a TrainedModel of a language model, or TrainedTasks that answer questions.

    Which of the two it is, the folder says; so the type checker is told Any.

    A language model is that of its `best` checkpoint or of the `last` one; where that is damaged, the one before it is
    used, and a warning logged. Of question answering it is the best one, and of a run of several tasks each model is
    read when its task is first asked; `task` leaves out the others. `device` is auto, cpu or cuda. Raises MemlmError
    if the folder is not a run, or has no such checkpoint yet, or one of another shape.

    >>> memlm.load("runs/mine")
    <memlm model memn2n-2x8, runs/mine, best, step 7>
    >>> memlm.load("runs/questions", task=1)
    <memlm tasks memn2n-qa-3x20, runs/questions, task 1>
    """
    folder = RunFolder.open(Path(run))
    manifest = folder.manifest()
    if manifest.answers_questions:
        if checkpoint != "best":
            raise MemlmError(f"{folder.path} answers questions: it has only its best checkpoint, not {checkpoint!r}")
        return _tasks(folder, manifest, device=device, task=task)
    if task is not None:
        raise MemlmError(f"{folder.path} is a run of a language model: it has no tasks; leave out task={task}")
    return _text(folder, manifest, which=checkpoint, device=device)


def load_text(run: str | Path, *, checkpoint: str = "best", device: str = "cpu") -> TrainedModel:
    """`load`, of a language model. Raises MemlmError for a run of question answering."""
    folder = RunFolder.open(Path(run))
    return _text(folder, folder.manifest(), which=checkpoint, device=device)


def load_tasks(run: str | Path, *, device: str = "cpu", task: int | None = None) -> TrainedTasks:
    """`load`, of a run of question answering that has ended. Raises MemlmError for a language model."""
    folder = RunFolder.open(Path(run))
    return _tasks(folder, folder.manifest(), device=device, task=task)


def _text(run: RunFolder, manifest: Manifest, *, which: str, device: str) -> TrainedModel:
    config = manifest.text_config
    if which not in CHECKPOINTS:
        raise MemlmError(f"unknown checkpoint {which!r}: known are {', '.join(CHECKPOINTS)}")
    folder = run.path / which
    if not checkpoints.exists(folder):
        if not config.model.trained and checkpoints.exists(run.best):
            raise MemlmError(f"{run.path} has no checkpoint {which!r}: a model that is counted has only the best one")
        raise MemlmError(f"{run.path} has no checkpoint {which!r} yet: go on with `memlm train --resume {run.path}`")
    if which == "last" and config.model.trained and config.train.restarts > 1:
        raise MemlmError(f"{folder} holds {config.train.restarts} restarts side by side: use best, a model of its own")
    vocabulary = manifest.vocabulary
    model = build(config.model, vocabulary_size=len(vocabulary), eos=vocabulary.eos)
    state = checkpoints.read(folder)
    checkpoints.fill(model, state)
    model.to(choose_device(device)).eval()
    return TrainedModel(
        run=run, manifest=manifest, model=model, checkpoint=which, step=state.step, sample=state.meta.get("sample")
    )


def _tasks(run: RunFolder, manifest: Manifest, *, device: str, task: int | None) -> TrainedTasks:
    config, chosen = manifest.question_config, choose_device(device)
    numbers = [int(number) for number in summary.read_summary(run.path)["tasks"]]
    if config.train.task not in ("all", *map(str, numbers)):
        raise MemlmError(f"{run.path} is damaged: summary.json is not of task {config.train.task}, as config.toml is")
    if task is not None and task not in numbers:
        raise MemlmError(f"{run.path} has no task {task}: it has {', '.join(map(str, numbers))}")
    numbers = numbers if task is None else [task]
    if is_collection(config):

        def read(number: int) -> TrainedAnswerer:
            return load_task(RunFolder.open(summary.task_folder(run.path, number)), device=chosen)

        models: Mapping[int, TrainedAnswerer] = LazyModels(numbers, read)
    else:
        models = dict.fromkeys(numbers, _answerer(run, manifest, device=chosen))
    return TrainedTasks(run=run, config=config, models=models)


def load_task(run: RunFolder, *, device: str | torch.device = "cpu") -> TrainedAnswerer:
    """The best model of a run of one task or of joint tasks. Raises MemlmError if its files are missing or damaged."""
    return _answerer(run, run.manifest(), device=device)


def _answerer(run: RunFolder, manifest: Manifest, *, device: str | torch.device) -> TrainedAnswerer:
    config, words = manifest.question_config, manifest.words
    model = build_answerer(config, len(words), restarts=1)
    checkpoints.fill(model, checkpoints.read(run.best))
    return TrainedAnswerer(run=run, config=config, words=words, model=model.to(device).eval())


class LazyModels(Mapping[int, TrainedAnswerer]):
    """The models of a run by task, each read when it is first asked for."""

    def __init__(self, numbers: Sequence[int], read: Callable[[int], TrainedAnswerer]) -> None:
        self._numbers = tuple(numbers)
        self._read = read
        self._models: dict[int, TrainedAnswerer] = {}

    def __getitem__(self, number: int) -> TrainedAnswerer:
        """The model of a task. Raises MemlmError if its files are missing, or of another model."""
        if number not in self._numbers:
            raise KeyError(number)
        if number not in self._models:
            self._models[number] = self._read(number)
        return self._models[number]

    def __contains__(self, number: object) -> bool:
        """Whether the run has this task; its model is not read."""
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        """The tasks' numbers, in the order of the run."""
        return iter(self._numbers)

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._numbers)
