"""Restarts of a language model trained side by side, against one after another."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle

import torch

from memlm.config.models import MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import gather_together, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.diagnostics.bench.cases import BATCHES, training_step
from memlm.diagnostics.bench.measure import Case
from memlm.models.build import build_stacked
from memlm.training.restarts import Restarts

TOGETHER = 10
RATIOS = {"lm_restarts_speedup": (f"{TOGETHER} restarts side by side, against one after another", "1 x")}


def steps(
    model: MemN2NConfig, train: TrainConfig, tokens: Tokens, vocabulary_size: int, device: torch.device
) -> dict[str, Case]:
    """A step of a restart alone, and of all together."""
    rest = (tokens, vocabulary_size, device)
    together = replace(train, restarts=TOGETHER)
    return {"restart_alone": training_step(model, train, *rest), "restarts": step_together(model, together, *rest)}


def step_together(
    model: MemN2NConfig, train: TrainConfig, tokens: Tokens, vocabulary_size: int, device: torch.device
) -> Case:
    """One step of `memlm train --restarts`, reading its batch included."""
    stacked = build_stacked(model, vocabulary_size=vocabulary_size, seed=train.seed, restarts=train.restarts)
    training = Restarts(stacked, train, device)
    plans = [plan_epoch(replace(train, seed=seed), len(tokens), 0)[:BATCHES] for seed in train.seeds]
    turn = cycle(zip(*plans, strict=True))
    rows, length = train.batch_size // train.chunk_length, train.chunk_length

    def step() -> None:
        training.step(gather_together(tokens, next(turn), model.memory_size, rows=rows, length=length))

    return step


def speedups(seconds: Mapping[str, float]) -> dict[str, float]:
    """The keys of RATIOS, from the seconds of the steps."""
    return {"lm_restarts_speedup": TOGETHER * seconds["restart_alone"] / seconds["restarts"]}
