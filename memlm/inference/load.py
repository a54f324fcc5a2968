"""Load trained models from their run folders."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from memlm.config.run import is_collection
from memlm.config.settings import CHECKPOINTS
from memlm.errors import MemlmError, unknown_name
from memlm.inference.questions import TrainedAnswerer, TrainedTasks
from memlm.inference.text import TrainedModel
from memlm.models.build import build, build_answerer
from memlm.models.device import choose_device
from memlm.runs import checkpoint as checkpoints
from memlm.runs import summary
from memlm.runs.folder import RunFolder
from memlm.runs.manifest import Manifest


def load(run: str | Path, *, checkpoint: str = "best", device: str = "cpu", task: int | None = None) -> Any:
    """The model of a run folder: a TrainedModel of a language model, or TrainedTasks that answer questions.

    The return type is Any because it depends on the folder.

    `checkpoint` is `best` or `last`; question answering has only `best`. If the checkpoint is damaged, the previous
    one is loaded and a warning is logged. In a run with one model per task, each model is read on first use; `task`
    selects a single task. `device` is auto, cpu or cuda. Raises MemlmError if the folder is not a run, or if the
    checkpoint is missing or has other shapes.

    >>> memlm.load("runs/mine")
    <memlm model memn2n-2x8, runs/mine, best, step 7>
    >>> memlm.load("runs/questions", task=1)
    <memlm tasks memn2n-qa-3x20, runs/questions, task 1>
    """
    folder = RunFolder.open(Path(run))
    manifest = folder.manifest()
    if manifest.answers_questions:
        if checkpoint != "best":
            raise MemlmError(f"{folder.path} answers questions: it has only a best checkpoint, not {checkpoint!r}")
        return _load_tasks(folder, manifest, device=device, task=task)
    if task is not None:
        raise MemlmError(f"{folder.path} is a run of a language model: it has no tasks; leave out task={task}")
    return _load_text(folder, manifest, which=checkpoint, device=device)


def load_text(run: str | Path, *, checkpoint: str = "best", device: str = "cpu") -> TrainedModel:
    """`load` for a language model. Raises MemlmError for a question-answering run."""
    folder = RunFolder.open(Path(run))
    return _load_text(folder, folder.manifest(), which=checkpoint, device=device)


def load_tasks(run: str | Path, *, device: str = "cpu", task: int | None = None) -> TrainedTasks:
    """`load` for a question-answering run that has ended. Raises MemlmError for a language model."""
    folder = RunFolder.open(Path(run))
    return _load_tasks(folder, folder.manifest(), device=device, task=task)


def _load_text(run: RunFolder, manifest: Manifest, *, which: str, device: str) -> TrainedModel:
    config = manifest.text_config
    if which not in CHECKPOINTS:
        raise unknown_name("checkpoint", which, CHECKPOINTS)
    folder = run.path / which
    if not checkpoints.exists(folder):
        if not config.model.trained and checkpoints.exists(run.best):
            raise MemlmError(f"{run.path} has no checkpoint {which!r}: a counted model has only the best one")
        raise MemlmError(f"{run.path} has no checkpoint {which!r} yet: go on with `memlm train --resume {run.path}`")
    if which == "last" and config.model.trained and config.train.restarts > 1:
        raise MemlmError(
            f"{folder} holds {config.train.restarts} restarts side by side: use best, which is a single model"
        )
    vocabulary = manifest.vocabulary
    model = build(config.model, vocabulary_size=len(vocabulary), eos=vocabulary.eos)
    state = checkpoints.read(folder)
    checkpoints.fill(model, state)
    model.to(choose_device(device)).eval()
    return TrainedModel(
        run=run, manifest=manifest, model=model, checkpoint=which, step=state.step, sample=state.meta.get("sample")
    )


def _load_tasks(run: RunFolder, manifest: Manifest, *, device: str, task: int | None) -> TrainedTasks:
    config, chosen = manifest.question_config, choose_device(device)
    numbers = [int(number) for number in summary.read_summary(run.path)["tasks"]]
    if config.train.task not in ("all", *map(str, numbers)):
        raise MemlmError(f"{run.path} is damaged: config.toml is of task {config.train.task}, but summary.json is not")
    if task is not None and task not in numbers:
        raise MemlmError(f"{run.path} has no task {task}: it has {', '.join(map(str, numbers))}")
    numbers = numbers if task is None else [task]
    if is_collection(config):

        def read(number: int) -> TrainedAnswerer:
            return load_answerer(RunFolder.open(summary.task_folder(run.path, number)), device=chosen)

        models: Mapping[int, TrainedAnswerer] = LazyModels(numbers, read)
    else:
        models = dict.fromkeys(numbers, _load_answerer(run, manifest, device=chosen))
    return TrainedTasks(run=run, config=config, models=models)


def load_answerer(run: RunFolder, *, device: str | torch.device = "cpu") -> TrainedAnswerer:
    """The model of a run with a single model: one task, or joint tasks. Raises MemlmError if a file is damaged."""
    return _load_answerer(run, run.manifest(), device=device)


def _load_answerer(run: RunFolder, manifest: Manifest, *, device: str | torch.device) -> TrainedAnswerer:
    config, words = manifest.question_config, manifest.words
    model = build_answerer(config, len(words), restarts=1)
    checkpoints.fill(model, checkpoints.read(run.best))
    return TrainedAnswerer(run=run, config=config, words=words, model=model.to(device).eval())


class LazyModels(Mapping[int, TrainedAnswerer]):
    """The models of a run by task. Each is read on first use."""

    def __init__(self, numbers: Sequence[int], read: Callable[[int], TrainedAnswerer]) -> None:
        self._numbers = tuple(numbers)
        self._read = read
        self._models: dict[int, TrainedAnswerer] = {}

    def __getitem__(self, number: int) -> TrainedAnswerer:
        """The model of a task. Raises MemlmError if its files are missing or belong to another model."""
        if number not in self._numbers:
            raise KeyError(number)
        if number not in self._models:
            self._models[number] = self._read(number)
        return self._models[number]

    def __contains__(self, number: object) -> bool:
        """Whether the run has this task. The model is not read."""
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        """The numbers of the tasks, in the order of the run."""
        return iter(self._numbers)

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self._numbers)
