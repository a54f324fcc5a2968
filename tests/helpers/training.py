"""Small trainings of language models: settings, learners, and who looks on."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.data.dataset import TextDataset
from memlm.models.build import build_initialised, build_stacked
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer, Observers
from memlm.training.learner import Learner
from memlm.training.loop import fit
from memlm.training.observers import AttentionPictures, TensorBoard
from memlm.training.text import SingleLearner, StackedLearner, TextLearner

MEMORY = Config(
    model=MemN2NConfig(hops=2, memory_size=8, units=12),
    train=TrainConfig(batch_size=32, chunk_length=8, epochs=3, lr=0.05, device="cpu", precision="float32"),
)
RECURRENT = Config(
    model=LSTMConfig(layers=2, units=16, dropout=0.1, init_range=0.4),
    train=TrainConfig(
        sampling="streams", batch_size=32, chunk_length=8, epochs=3, lr=0.1, device="cpu", precision="float32"
    ),
)
TIMES = ("seconds", "tokens_per_second")


class Ask:
    """Requests: to stop and to save when these say so."""

    def __init__(self, stop: Callable[[], bool] = lambda: False, save: Callable[[], bool] = lambda: False) -> None:
        self.stop, self.save = stop, save


def after_calls(count: int) -> Callable[[], bool]:
    """Says no so many times, then yes."""
    calls = iter(range(count))
    return lambda: next(calls, None) is None


def reopen(config: Config, data: TextDataset) -> TextLearner:
    """A learner with freshly drawn weights."""
    sizes = {"vocabulary_size": len(data.vocabulary), "eos": data.vocabulary.eos}
    texts = {split: data.splits[split].tokens for split in ("train", "valid")}
    if config.train.restarts > 1:
        assert isinstance(config.model, MemN2NConfig)
        stacked = build_stacked(
            config.model, vocabulary_size=len(data.vocabulary), seed=config.train.seed, restarts=config.train.restarts
        )
        return StackedLearner(stacked, config.train, torch.device("cpu"), **texts)
    model = build_initialised(config.model, **sizes, seed=config.train.seed)
    return SingleLearner(model, config.train, torch.device("cpu"), **texts)


def start(config: Config, data: TextDataset, path: Path) -> tuple[TextLearner, RunFolder]:
    """A learner, and the folder of its run."""
    return reopen(config, data), RunFolder.create(path, config, data.vocabulary)


def run_fit(
    learner: Learner,
    run: RunFolder,
    stop: Callable[[], bool] = lambda: False,
    save: Callable[[], bool] = lambda: False,
    observers: Sequence[Observer] = (),
) -> str:
    """Train as `memlm train` does, with its curves and pictures."""
    board = TensorBoard(Config())
    return fit(learner, run, Observers([board, AttentionPictures(board), *observers]), Ask(stop, save))


def without_times(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that must not depend on where a run was stopped."""
    return [{key: value for key, value in line.items() if key not in TIMES} for line in run.metrics()]


def go_on_and_end_like(
    straight: TextLearner, run: RunFolder, broken: RunFolder, config: Config, data: TextDataset
) -> None:
    """Resume the broken run; its figures and weights must be those of the run that was never stopped, to the bit."""
    resumed = reopen(config, data)
    resumed.load(broken)
    assert run_fit(resumed, broken) == "epochs"
    assert without_times(broken) == without_times(run)
    for ours, theirs in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def with_train(config: Config, **values: Any) -> Config:
    """The settings with others of training."""
    return dataclasses.replace(config, train=config.train.replace(values))
