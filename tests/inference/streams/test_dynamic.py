"""Dynamic evaluation against its formula."""

import numpy as np
import pytest
import torch

from memlm.evaluation.perplexity import token_nats
from memlm.inference.streams.dynamic import DynamicStream, DynamicWeights, gradient_rms
from memlm.inference.streams.stream import stream_nats
from tests.helpers.streams import make


def test_dynamic_evaluation_is_that_of_the_formula(tokens: np.ndarray):
    """Segment by segment with autograd and dense updates, from a model of its own."""
    model = make("adjacent")
    weights = DynamicWeights(lr=0.02, decay=0.3, segment=8, epsilon=0.05)
    generator = torch.Generator().manual_seed(1)
    rms = [torch.rand(p.shape, generator=generator, dtype=torch.float64) for p in model.parameters()]
    mean = torch.cat([r.flatten() for r in rms]).mean()
    slow, home, expected = make("adjacent"), list(make("adjacent").parameters()), []
    text = torch.cat([torch.full((slow.context_size,), -1), torch.from_numpy(tokens.astype(np.int64))])
    for at in range(0, len(tokens), weights.segment):
        piece = text[at : at + slow.context_size + weights.segment]
        nats, _ = slow.nats(piece[None, :-1], piece[None, slow.context_size :])
        expected += nats[0].tolist()
        grads = torch.autograd.grad(nats.sum(), list(slow.parameters()), allow_unused=True)
        with torch.no_grad():
            for p, g, r, p0 in zip(slow.parameters(), grads, rms, home, strict=True):
                back = (weights.decay * r / mean).clamp(max=1) * (p0 - p)
                p.add_(back - weights.lr * g.to_dense() / (r + weights.epsilon))
    before = token_nats(model, tokens)
    got = np.concatenate(list(stream_nats(DynamicStream(model, weights, rms), tokens)))
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert abs(got - before).max() > 0.01
    np.testing.assert_array_equal(token_nats(model, tokens), before)  # the model itself has not learnt


def test_the_gradients_size_is_that_of_single_segments(tokens: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 9)
    model = make("lstm")
    places = np.random.default_rng(1).integers(len(tokens) - 5 + 1, size=9)
    squares = [np.zeros(p.shape) for p in model.parameters()]
    for place in places:
        before = [-1] if place == 0 else [int(tokens[place - 1])]
        piece = torch.tensor([[*before, *tokens[place : place + 5].tolist()]])
        nats, _ = model.eval().nats(piece[:, :-1], piece[:, 1:])
        grads = torch.autograd.grad(nats.sum(), list(model.parameters()))
        squares = [s + g.to_dense().numpy() ** 2 for s, g in zip(squares, grads, strict=True)]
    for got, square in zip(gradient_rms(model, tokens, segment=5), squares, strict=True):
        np.testing.assert_allclose(got, np.sqrt(square / 9), atol=1e-12)
