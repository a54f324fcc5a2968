"""Tune the weights of cache, dynamic evaluation and mixture on the validation split.

T tokens, D units, K streams.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from memlm.data.corpus.reading import Tokens
from memlm.evaluation.perplexity import TARGETS_AT_ONCE
from memlm.inference.streams.cache import CacheWeights, Store, cache_probabilities, target_probabilities
from memlm.inference.streams.dynamic import DynamicStream, DynamicWeights
from memlm.inference.streams.mixture import mixture_weights
from memlm.inference.streams.stream import ModelStream, Stream, blocks, stream_nats
from memlm.models.base import LanguageModel

TUNING_TOKENS = 50_000  # the first tokens of the validation split
WINDOWS = (250, 500, 1000, 2000)
THETAS = (0.0, *(0.003 * math.sqrt(10) ** i for i in range(8)))  # the size of hidden states depends on the model
THETA_FACTORS = (0.42, 0.56, 0.75, 1.0, 1.33, 1.78, 2.37)  # finer steps around the best of THETAS
RATES = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DECAYS = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

Report = Callable[[str], object]


def tune_dynamic(model: LanguageModel, rms: Sequence[Tensor], tokens: Tokens, report: Report) -> DynamicWeights:
    """Tune the learning rate, then the decay, then the learning rate again with this decay. Each by hill climbing."""

    @cache
    def cost(lr: float, decay: float) -> float:
        stream = DynamicStream(model, DynamicWeights(lr=lr, decay=decay), rms)
        nats = float(np.concatenate(list(stream_nats(stream, tokens[:TUNING_TOKENS]))).mean())
        shown = f"{math.exp(nats):.2f}" if nats < 700 else "too large"
        report(f"dynamic evaluation, learning rate {lr:g}, decay {decay:g}: validation perplexity {shown}")
        return nats if math.isfinite(nats) else math.inf

    lr = hill_climb(RATES, 3e-4, lambda rate: cost(rate, 0.0))
    decay = hill_climb(DECAYS, 0.0, lambda strength: cost(lr, strength)) if lr else 0.0
    if decay:
        lr = hill_climb(RATES, lr, lambda rate: cost(rate, decay))
    return DynamicWeights(lr=lr, decay=decay)


def hill_climb(scale: Sequence[float], start: float, cost: Callable[[float], float]) -> float:
    """From `start`, move along the rising scale to a value whose neighbours have no lower cost.

    If the cost is infinite, move down. `cost` may be called more than once with the same value.
    """
    here = scale.index(start)
    while here and math.isinf(cost(scale[here])):
        here -= 1
    while True:
        near = [i for i in (here, here - 1, here + 1) if 0 <= i < len(scale)]
        best = min(near, key=lambda i: cost(scale[i]))
        if best == here:
            return scale[here]
        here = best


def tune_cache(stream: ModelStream, tokens: Tokens, report: Report) -> CacheWeights:
    """Choose window and theta from a grid, then theta from finer steps. Each time, the best weight is computed."""
    text = _read_text(stream, tokens[:TUNING_TOKENS])
    found = []
    for window in WINDOWS:
        found.append(min(text.with_cache(window, theta) for theta in THETAS))
        report(f"cache, window {window}: validation perplexity {math.exp(found[-1][0]):.2f}")
    _, (window, theta, _) = min(found)
    _, (window, theta, weight) = min(text.with_cache(window, theta * factor) for factor in THETA_FACTORS)
    report(f"cache: window {window}, theta {theta:.4g}, weight {weight:.4g}")
    return CacheWeights(window=window, theta=theta, weight=weight)


class _ReadText(NamedTuple):
    """What a stream computes for a text: hidden states (T, D), with the tokens (T,) and their -log p (T,)."""

    hidden: Tensor
    tokens: Tensor
    nats: Tensor

    def with_cache(self, window: int, theta: float) -> tuple[float, tuple[int, float, float]]:
        """Nats per token with this cache and the best weight for it; and (window, theta, weight)."""
        store, pieces = Store(window), []
        in_blocks = (torch.split(values, TARGETS_AT_ONCE) for values in (self.hidden, self.tokens))
        for hidden, tokens in zip(*in_blocks, strict=True):
            similarity, visible, known = store.similarity(hidden, tokens)
            pieces.append(target_probabilities(cache_probabilities(similarity, visible, theta), known, tokens))
        of_cache = -torch.cat(pieces).double().log().cpu().numpy()
        of_model = self.nats.double().cpu().numpy()
        of_cache[0] = of_model[0]  # the cache is still empty
        weights = mixture_weights([of_model, of_cache])
        mixed = np.log(weights[0] * np.exp(-of_model) + weights[1] * np.exp(-of_cache))
        return -float(mixed.mean()), (window, theta, float(weights[1]))


@torch.no_grad()
def _read_text(stream: ModelStream, tokens: Tokens) -> _ReadText:
    parts = []
    for block in blocks(tokens, stream.device):
        for hidden, part in stream.parts(block):
            parts.append((hidden, part, stream.model.head.nats(hidden, part)))
    return _ReadText(*map(torch.cat, zip(*parts, strict=True)))


def tune_mixture(streams: Sequence[Stream], tokens: Tokens, report: Report) -> tuple[float, ...]:
    """The mixture weights of K streams, in their order."""
    tokens = tokens[:TUNING_TOKENS]
    nats = [np.concatenate(list(stream_nats(stream, tokens))) for stream in streams]
    weights = tuple(float(weight) for weight in mixture_weights(nats))
    report("mixture: weights " + ", ".join(f"{weight:.4g}" for weight in weights))
    return weights
