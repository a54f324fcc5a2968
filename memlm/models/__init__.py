"""Language models that answer to one protocol, `LanguageModel`."""

import torch

from memlm.config import KneserNeyConfig, MemN2NConfig, ModelConfig
from memlm.models.base import LanguageModel, State
from memlm.models.kneser_ney import KneserNey
from memlm.models.memn2n import MemN2N
from memlm.models.recurrent import LSTM

__all__ = ["LSTM", "KneserNey", "LanguageModel", "MemN2N", "State", "build"]


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
