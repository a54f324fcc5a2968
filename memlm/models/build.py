"""Build a model from its settings."""

from collections.abc import Sequence

import torch

from memlm.config.models import AnswererConfig, KneserNeyConfig, MemN2NConfig, ModelConfig
from memlm.config.run import QAConfig
from memlm.models.answerer import Answerer, MemoryAnswerer
from memlm.models.base import LanguageModel
from memlm.models.lstm_answerer import LSTMAnswerer
from memlm.models.memn2n import MemN2N
from memlm.models.ngram.kneser_ney import KneserNey
from memlm.models.recurrent import LSTM
from memlm.models.stacked import StackedMemN2N


def build(config: ModelConfig, *, vocabulary_size: int, eos: int, seed: int) -> LanguageModel:
    """A model with freshly drawn parameters, the same for a seed on every machine; or one that is to be counted."""
    model = build_empty(config, vocabulary_size=vocabulary_size, eos=eos)
    model.initialise(torch.Generator().manual_seed(seed))
    return model


def build_empty(config: ModelConfig, *, vocabulary_size: int, eos: int) -> LanguageModel:
    """A model whose parameters are not yet drawn: a checkpoint fills them."""
    if isinstance(config, KneserNeyConfig):
        return KneserNey(config, vocabulary_size, eos)
    if isinstance(config, MemN2NConfig):
        return MemN2N(config, vocabulary_size)
    return LSTM(config, vocabulary_size, eos)


def build_stacked(config: MemN2NConfig, *, vocabulary_size: int, eos: int, seeds: Sequence[int]) -> StackedMemN2N:
    """The models that `build` makes with these seeds, as one computation."""
    stacked = StackedMemN2N(config, vocabulary_size, len(seeds))
    for restart, seed in enumerate(seeds):
        model = build(config, vocabulary_size=vocabulary_size, eos=eos, seed=seed)
        assert isinstance(model, MemN2N)
        stacked.put(restart, model)
    return stacked


def build_answerer(config: QAConfig, vocabulary_size: int, *, restarts: int) -> Answerer:
    """A model of so many restarts, its parameters not yet drawn."""
    if isinstance(config.model, AnswererConfig):
        return MemoryAnswerer(config.model, vocabulary_size, restarts)
    return LSTMAnswerer(config.model, vocabulary_size, restarts)
