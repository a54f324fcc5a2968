"""Predictors on their way through a text: models, and the wrappers that any model can wear at evaluation."""

from memlm.streams.base import ModelStream, Stream, blocks, stream_nats
from memlm.streams.cache import CacheStream, CacheWeights
from memlm.streams.dynamic import DynamicStream, DynamicWeights, gradient_rms
from memlm.streams.mixture import MixtureStream, fit_weights
from memlm.streams.worn import Worn, Wrappers, tune

__all__ = [
    "CacheStream",
    "CacheWeights",
    "DynamicStream",
    "DynamicWeights",
    "MixtureStream",
    "ModelStream",
    "Stream",
    "Worn",
    "Wrappers",
    "blocks",
    "fit_weights",
    "gradient_rms",
    "stream_nats",
    "tune",
]
