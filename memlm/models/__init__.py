"""Language models that answer to one protocol, `LanguageModel`."""

import torch

from memlm.config import MemN2NConfig, ModelConfig
from memlm.models.base import LanguageModel, State
from memlm.models.memn2n import MemN2N
from memlm.models.recurrent import LSTM

__all__ = ["LSTM", "LanguageModel", "MemN2N", "State", "build"]


def build(config: ModelConfig, *, vocabulary_size: int, eos: int, seed: int) -> LanguageModel:
    """A model with freshly drawn parameters, the same for a seed on every machine."""
    model = MemN2N(config, vocabulary_size) if isinstance(config, MemN2NConfig) else LSTM(config, vocabulary_size, eos)
    model.initialise(torch.Generator().manual_seed(seed))
    return model
