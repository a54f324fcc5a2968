"""Load a trained model from its run folder."""

from pathlib import Path

import torch

from memlm.config.run import is_collection
from memlm.errors import MemlmError
from memlm.inference.questions import TrainedAnswerer, TrainedTasks
from memlm.inference.text import TrainedModel
from memlm.models.build import build, build_answerer
from memlm.models.device import choose_device
from memlm.runs import checkpoint, summary
from memlm.runs.folder import RunFolder


def load(run: str | Path, *, checkpoint: str = "best", device: str = "cpu") -> TrainedModel:
    """The model of a run folder, from its `best` checkpoint or the `last` one.

    Where that is damaged, the one before it is used, and a warning logged. Raises MemlmError if the folder is not a
    run, or has no such checkpoint yet, or one of another shape.
    """
    return load_run(RunFolder.open(Path(run)), which=checkpoint, device=device)


def load_run(run: RunFolder, *, which: str, device: str) -> TrainedModel:
    """`load`, of an opened run."""
    if which not in ("best", "last"):
        raise MemlmError(f"unknown checkpoint {which!r}: known are best, last")
    folder = run.path / which
    if not checkpoint.exists(folder):
        if not run.config().model.trained and checkpoint.exists(run.best):
            raise MemlmError(f"{run.path} has no checkpoint {which!r}: a model that is counted has only the best one")
        raise MemlmError(f"{run.path} has no checkpoint {which!r} yet: go on with `memlm train --resume {run.path}`")
    config, vocabulary = run.config(), run.vocabulary()
    if which == "last" and config.train.restarts > 1:
        raise MemlmError(f"{folder} holds {config.train.restarts} restarts side by side: use best, a model of its own")
    model = build(config.model, vocabulary_size=len(vocabulary), eos=vocabulary.eos)
    state = checkpoint.read(folder)
    checkpoint.fill(model, state)
    model.to(choose_device(device)).eval()
    return TrainedModel(
        run=run,
        config=config,
        vocabulary=vocabulary,
        model=model,
        checkpoint=which,
        step=state.step,
        sample=state.meta.get("sample"),
    )


def load_answerer(run: str | Path, *, device: str = "cpu") -> TrainedTasks:
    """The best restarts of a run that has ended. Raises MemlmError if the folder is not such a run."""
    folder = RunFolder.open(Path(run))
    config = folder.qa_config()
    numbers = [int(task) for task in summary.read_summary(folder.path)["tasks"]]
    if config.train.task not in ("all", *map(str, numbers)):
        raise MemlmError(
            f"{folder.path} is damaged: summary.json is not of task {config.train.task}, as config.toml is"
        )
    chosen = choose_device(device)
    if is_collection(config):
        each = {n: load_task(RunFolder.open(summary.task_folder(folder.path, n)), device=chosen) for n in numbers}
    else:
        each = dict.fromkeys(numbers, load_task(folder, device=chosen))
    return TrainedTasks(run=folder, config=config, models=each)


def load_task(run: RunFolder, *, device: str | torch.device = "cpu") -> TrainedAnswerer:
    """The model of a run that has ended. Raises MemlmError if its files are missing, or of another model."""
    config, words = run.qa_config(), run.qa_vocabulary()
    model = build_answerer(config, len(words), restarts=1)
    checkpoint.fill(model, checkpoint.read(run.best))
    return TrainedAnswerer(run=run, config=config, words=words, model=model.to(device).eval())
