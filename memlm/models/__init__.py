"""Language models that answer to one protocol, `LanguageModel`."""

from collections.abc import Sequence

import torch

from memlm.config import KneserNeyConfig, MemN2NConfig, ModelConfig
from memlm.models.base import LanguageModel, State
from memlm.models.kneser_ney import KneserNey
from memlm.models.memn2n import MemN2N
from memlm.models.recurrent import LSTM
from memlm.models.stacked import StackedMemN2N

__all__ = ["LSTM", "KneserNey", "LanguageModel", "MemN2N", "StackedMemN2N", "State", "build", "build_stacked"]


def build(config: ModelConfig, *, vocabulary_size: int, eos: int, seed: int) -> LanguageModel:
    """A model with freshly drawn parameters, the same for a seed on every machine; or one that is to be counted."""
    model: LanguageModel
    if isinstance(config, KneserNeyConfig):
        model = KneserNey(config, vocabulary_size, eos)
    elif isinstance(config, MemN2NConfig):
        model = MemN2N(config, vocabulary_size)
    else:
        model = LSTM(config, vocabulary_size, eos)
    model.initialise(torch.Generator().manual_seed(seed))
    return model


def build_stacked(config: MemN2NConfig, *, vocabulary_size: int, eos: int, seeds: Sequence[int]) -> StackedMemN2N:
    """The models that `build` makes with these seeds, as one computation."""
    stacked = StackedMemN2N(config, vocabulary_size, len(seeds))
    for restart, seed in enumerate(seeds):
        model = build(config, vocabulary_size=vocabulary_size, eos=eos, seed=seed)
        assert isinstance(model, MemN2N)
        stacked.put(restart, model)
    return stacked
