"""Streams: any model, wrapper or mixture reads a text as evaluation does, however many tokens at once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from memlm.inference.streams.cache import CacheStream, CacheWeights
from memlm.inference.streams.dynamic import DynamicStream, DynamicWeights
from memlm.inference.streams.mixture import MixtureStream
from memlm.inference.streams.stream import ModelStream, Stream, blocks, stream_nats
from memlm.models.base import LanguageModel
from tests.helpers.streams import MODELS, make, plain


def cached(model: LanguageModel) -> Stream:
    return CacheStream(ModelStream(model), CacheWeights(theta=0.7, weight=0.3, window=11))


def dynamic(model: LanguageModel) -> Stream:
    rms = [torch.full_like(p, 0.1) for p in model.parameters()]
    return DynamicStream(model, DynamicWeights(lr=0.01, decay=0.1, segment=6), rms)


def both(model: LanguageModel) -> Stream:
    inner = dynamic(model)
    assert isinstance(inner, ModelStream)
    return CacheStream(inner, CacheWeights(theta=0.7, weight=0.3, window=500))


def mixed(model: LanguageModel) -> Stream:
    return MixtureStream([cached(model), ModelStream(make("lstm", seed=8))], [0.6, 0.4])


Open = Callable[[LanguageModel], Stream]
ADAPTATIONS: list[Open] = [plain, cached, dynamic, both, mixed]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("adapt", ADAPTATIONS)
def test_what_is_predicted_does_not_depend_on_how_a_text_is_read(name: str, adapt: Open, tokens: np.ndarray):
    model = make(name)
    whole = np.concatenate(list(stream_nats(adapt(model), tokens)))
    for size in (1, 4, 33):
        pieces = np.concatenate(list(stream_nats(adapt(model), tokens, size=size)))
        np.testing.assert_allclose(pieces, whole, rtol=1e-9)
    stream = adapt(model)
    rows = torch.cat([stream.read(block) for block in blocks(tokens, stream.device, size=17)])
    of_targets = rows[torch.arange(len(tokens)), torch.from_numpy(tokens.astype(np.int64))]
    np.testing.assert_allclose(-of_targets.numpy(), whole, rtol=1e-9)
    np.testing.assert_allclose(rows.exp().sum(dim=1), 1, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("adapt", ADAPTATIONS)
def test_looking_ahead_is_what_reading_finds(name: str, adapt: Open, tokens: np.ndarray):
    model = make(name)
    stream = adapt(model)
    for block in blocks(tokens[:30], stream.device, size=1):
        ahead = stream.predict_next()
        assert float(ahead.exp().sum()) == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(stream.read(block)[0], ahead, rtol=1e-9)
