"""A model with its adaptation, and the tuning of it."""

import numpy as np
import pytest

from memlm.inference.streams.adapted import Adapted, tune
from memlm.inference.streams.dynamic import gradient_rms
from memlm.inference.streams.stream import ModelStream, stream_nats
from tests.helpers.streams import V, make


def test_tuning_lowers_the_perplexity_of_what_it_is_tuned_on(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
):
    """A text that repeats itself: cache and dynamic evaluation help, and the other model takes its share."""
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 40)
    tokens = np.tile(rng.integers(V, size=12), 12).astype(np.int32)
    model = make("lstm")
    rms = gradient_rms(model, tokens, segment=20)
    said: list[str] = []
    adapted = tune(
        Adapted(model=model, others=[make("layerwise")], rms=rms), tokens, cache=True, dynamic=True, report=said.append
    )
    costs = [
        float(np.concatenate(list(stream_nats(stream, tokens))).mean())
        for stream in (ModelStream(model), adapted.inner_stream(), adapted.stream())
    ]
    assert adapted.adaptation.cache is not None
    assert adapted.adaptation.dynamic is not None
    assert sum(adapted.adaptation.mix) == pytest.approx(1)
    assert costs[0] > costs[1] + 0.01
    assert costs[1] > costs[2] + 0.01
    assert any("cache: window" in line for line in said)
