"""Small models in float64, for streams."""

from memlm.config.models import LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.inference.streams.stream import ModelStream, Stream
from memlm.models.base import LanguageModel
from memlm.models.build import build_initialised

V = 13
MODELS: dict[str, LanguageModelSettings] = {
    "layerwise": MemN2NConfig(hops=2, memory_size=7, units=6, init_std=0.5),
    "adjacent": MemN2NConfig(hops=3, memory_size=5, units=6, init_std=0.5, tying="adjacent"),
    "lstm": LSTMConfig(layers=2, units=6, init_range=0.6, dropout=0.3),
    "adaptive": LSTMConfig(units=6, init_range=0.6, softmax="adaptive", cutoffs="4,9"),
    "adjacent-adaptive": MemN2NConfig(
        hops=2, memory_size=5, units=6, init_std=0.5, tying="adjacent", softmax="adaptive", cutoffs="4,9"
    ),
}


def make(name: str, *, seed: int = 3) -> LanguageModel:
    """A model with random weights."""
    return build_initialised(MODELS[name], vocabulary_size=V, eos=0, seed=seed).double()


def plain(model: LanguageModel) -> Stream:
    """The model's own stream."""
    return ModelStream(model)
