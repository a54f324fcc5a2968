"""The measurements of `memlm bench --task babi`: restarts trained side by side, against one after another."""

from typing import Any

import numpy as np
import torch

from memlm.config.recipes import recipe
from memlm.config.run import QAConfig
from memlm.data.questions.encode import EMPTY, QuestionSet
from memlm.diagnostics.bench import measure
from memlm.diagnostics.bench.measure import Case, medians
from memlm.evaluation.perplexity import Tick
from memlm.models import build
from memlm.models.device import choose_device
from memlm.runs.environment import environment
from memlm.training.progress import Totals
from memlm.training.questions import QuestionLearner

RESTARTS = (1, 2, 5, 10, 20)
TOGETHER = 10  # as in the paper
BATCH, STEPS = 32, 9  # questions per step, steps per epoch
QUESTIONS = BATCH * STEPS * 10 // 9  # of an artificial task; a tenth of them is held out
WORDS = 7  # in the longest sentence of the task
SHAPES = {  # as in bAbI: different sentences, words, sentences of the longest story, units
    "task": (260, 25, 10, 20),  # medians over the twenty tasks
    "long": (310, 34, 50, 20),  # task 3
    "joint": (3200, 174, 50, 50),
}
RATIOS = {"restarts_speedup": ("ten restarts side by side, against one after another", "5 x")}


def run(*, rounds: int, device: str = "auto", tick: Tick = lambda done, total: None) -> dict[str, Any]:
    """Measure training steps.

    The result has the keys of RATIOS, `speedups` with the keys of SHAPES, `milliseconds` of each case, and
    `environment`. Each case takes `rounds` turns. `tick(done, total)` is called after each turn.
    """
    on = choose_device(device)
    seconds = {name: value / STEPS for name, value in medians(_cases(on), rounds=rounds, tick=tick).items()}
    alone = {shape: TOGETHER * seconds[f"{shape}, 1"] for shape in SHAPES}
    speedups = {shape: alone[shape] / seconds[f"{shape}, {TOGETHER}"] for shape in SHAPES}
    return {
        "restarts_speedup": speedups["task"],
        "speedups": speedups,
        "milliseconds": {name: 1e3 * value for name, value in seconds.items()},
        "environment": environment() | {"device": str(on)},
    }


def turns(rounds: int) -> int:
    """The number of turns that `run` takes."""
    return measure.turns(len(RESTARTS) + 2 * (len(SHAPES) - 1), rounds)


def _cases(device: torch.device) -> dict[str, Case]:
    """Epochs by shape and number of restarts. Only a typical task is measured with all numbers of restarts."""
    counts = {shape: RESTARTS if shape == "task" else (1, TOGETHER) for shape in SHAPES}
    return {f"{shape}, {R}": training_epoch(shape, R, device) for shape in SHAPES for R in counts[shape]}


def training_epoch(shape: str, restarts: int, device: torch.device) -> Case:
    """An epoch of `memlm train`: STEPS steps of 32 questions per restart, with planning and reading them."""
    config = recipe("pe-ls-rn")
    U, V, S, D = SHAPES[shape]
    model = config.model.replace({"units": D, "memory_size": S})
    train = config.train.replace({"restarts": restarts, "linear_start": "no", "batch_size": BATCH})
    questions = random_questions(U, V, S)
    answerer = build.build_answerer(QAConfig(model=model, train=train), V, restarts=restarts)
    answerer.initialise(train.seed)
    learner = QuestionLearner(answerer, train, questions, np.ones(len(questions), np.int64), device)

    def epoch() -> None:
        for batch in learner.batches():
            learner.step(batch)
        for progress in learner.progress:
            progress.totals = Totals()
            progress.epoch += 1

    return epoch


def random_questions(sentences: int, words: int, slots: int) -> QuestionSet:
    """Random questions: `sentences` different sentences of `words` different words, stories of up to `slots`."""
    rng = np.random.default_rng(0)

    def draw_sentences(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        ids = rng.integers(words, size=(count, WORDS))
        ids[np.arange(WORDS) >= rng.integers(4, WORDS + 1, size=count)[:, None]] = EMPTY
        return ids

    stories = rng.integers(sentences, size=(QUESTIONS, slots))
    stories[np.arange(slots) < slots - rng.integers(1, slots + 1, size=QUESTIONS)[:, None]] = EMPTY
    return QuestionSet(
        sentences=draw_sentences(sentences),
        stories=stories,
        questions=draw_sentences(QUESTIONS),
        answers=rng.integers(words, size=QUESTIONS),
        supporting=np.zeros((QUESTIONS, slots), np.bool_),
    )
