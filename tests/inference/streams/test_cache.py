"""The cache against its formula."""

import math

import numpy as np
import pytest

from memlm.evaluation.perplexity import token_nats
from memlm.inference.streams.cache import CacheStream, CacheWeights
from memlm.inference.streams.stream import ModelStream, blocks, stream_nats
from tests.helpers.streams import make


@pytest.mark.parametrize("window", [4, 1000])
def test_the_cache_is_that_of_the_formula(window: int, tokens: np.ndarray):
    """A slow cache: p_cache(w) is the sum over the window's places of w of exp(theta h . h_i), normalised."""
    model, theta, weight = make("layerwise"), 0.9, 0.25
    stream = ModelStream(model)
    ((hidden, _),) = stream.parts(next(blocks(tokens, stream.device)))
    states, expected = hidden.detach().numpy(), []
    p_model = np.exp(-token_nats(model, tokens))
    for t in range(len(tokens)):
        past = range(max(0, t - window), t)
        shares = {i: math.exp(theta * float(states[t] @ states[i])) for i in past}
        of_target = sum(share for i, share in shares.items() if tokens[i] == tokens[t])
        mixed = p_model[t] if t == 0 else (1 - weight) * p_model[t] + weight * of_target / sum(shares.values())
        expected.append(-math.log(mixed))
    cache = CacheStream(ModelStream(model), CacheWeights(theta=theta, weight=weight, window=window))
    np.testing.assert_allclose(np.concatenate(list(stream_nats(cache, tokens, size=20))), expected, rtol=1e-9)
