"""What `memlm bench --task babi` measures: restarts trained side by side, against one after another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from memlm.config.recipes import recipe
from memlm.config.run import QAConfig
from memlm.data.questions.encode import EMPTY, QuestionSet
from memlm.diagnostics.bench.measure import Case, medians
from memlm.models import build
from memlm.models.device import choose_device
from memlm.runs.environment import environment
from memlm.training.questions import Training

RESTARTS = (1, 2, 5, 10, 20)
TOGETHER = 10  # as in the paper
BATCH, STEPS = 32, 9  # questions a step, steps an epoch
QUESTIONS = BATCH * STEPS * 10 // 9  # of a made-up task; a tenth of them is held out
WORDS = 7  # of its longest sentence
SHAPES = {  # of bAbI: different sentences, words, sentences of the longest story, units
    "task": (260, 25, 10, 20),  # medians of the twenty tasks
    "long": (310, 34, 50, 20),  # task 3
    "joint": (3200, 174, 50, 50),
}
RATIOS = {"restarts_speedup": ("ten restarts side by side, against one after another", "5 x")}


def run(*, rounds: int, device: str = "auto", tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measure steps of training: the keys of RATIOS, of SHAPES under `speedups`, `milliseconds` and `environment`.

    A case is timed `rounds` times; `tick` is called after each.
    """
    place = choose_device(device)
    seconds = {name: value / STEPS for name, value in medians(_cases(place), rounds=rounds, tick=tick).items()}
    alone = {shape: TOGETHER * seconds[f"{shape}, 1"] for shape in SHAPES}
    speedups = {shape: alone[shape] / seconds[f"{shape}, {TOGETHER}"] for shape in SHAPES}
    return {
        "restarts_speedup": speedups["task"],
        "speedups": speedups,
        "milliseconds": {name: 1e3 * value for name, value in seconds.items()},
        "environment": environment() | {"device": str(place)},
    }


def turns(rounds: int) -> int:
    """How often `run` ticks."""
    return (len(RESTARTS) + 2 * (len(SHAPES) - 1)) * (rounds + 2)


def _cases(place: torch.device) -> dict[str, Case]:
    """Epochs by shape and number of restarts; all numbers for a typical task."""
    counts = {shape: RESTARTS if shape == "task" else (1, TOGETHER) for shape in SHAPES}
    return {f"{shape}, {R}": training_epoch(shape, R, place) for shape in SHAPES for R in counts[shape]}


def training_epoch(shape: str, restarts: int, place: torch.device) -> Case:
    """An epoch of `memlm train`: STEPS on 32 questions of each restart, planning and reading them included."""
    config = recipe("pe-ls-rn")
    U, V, S, D = SHAPES[shape]
    model = config.model.replace({"units": D, "memory_size": S})
    train = config.train.replace({"restarts": restarts, "linear_start": "no", "batch_size": BATCH})
    questions = made_up(U, V, S)
    answerer = build.build_answerer(QAConfig(model=model, train=train), V, restarts=restarts)
    answerer.initialise(train.seed)
    training = Training(answerer, train, questions, np.ones(len(questions), np.int64), place)

    def epoch() -> None:
        training.epoch()
        training.progress.steps = 0
        training.progress.epoch += 1

    return epoch


def made_up(sentences: int, words: int, slots: int) -> QuestionSet:
    """Questions at random: as many different sentences and words, and stories up to as long, as these."""
    rng = np.random.default_rng(0)

    def say(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        ids = rng.integers(words, size=(count, WORDS))
        ids[np.arange(WORDS) >= rng.integers(4, WORDS + 1, size=count)[:, None]] = EMPTY
        return ids

    stories = rng.integers(sentences, size=(QUESTIONS, slots))
    stories[np.arange(slots) < slots - rng.integers(1, slots + 1, size=QUESTIONS)[:, None]] = EMPTY
    return QuestionSet(
        sentences=say(sentences),
        stories=stories,
        questions=say(QUESTIONS),
        answers=rng.integers(words, size=QUESTIONS),
        supporting=np.zeros((QUESTIONS, slots), np.bool_),
    )
