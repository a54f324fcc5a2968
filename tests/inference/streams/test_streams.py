"""Streams: any model, wrapper or mixture reads a text as evaluation does, however many tokens at once."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from memlm.config.models import LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.evaluation.perplexity import token_nats
from memlm.inference.streams.adapted import Adapted, tune
from memlm.inference.streams.cache import CacheStream, CacheWeights
from memlm.inference.streams.dynamic import DynamicStream, DynamicWeights, gradient_rms
from memlm.inference.streams.mixture import MixtureStream, mixture_weights
from memlm.inference.streams.stream import ModelStream, Stream, blocks, stream_nats
from memlm.inference.streams.tuning import hill_climb
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
    return build_initialised(MODELS[name], vocabulary_size=V, eos=0, seed=seed).double()


@pytest.fixture
def tokens(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(V, size=90).astype(np.int32)


def plain(model: LanguageModel) -> Stream:
    return ModelStream(model)


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


@pytest.mark.parametrize("name", MODELS)
def test_a_models_stream_scores_as_evaluation_does(name: str, tokens: np.ndarray):
    model = make(name)
    np.testing.assert_allclose(np.concatenate(list(stream_nats(plain(model), tokens))), token_nats(model, tokens))


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


def test_fitted_weights_are_the_likeliest(rng: np.random.Generator):
    nats = [rng.exponential(2, size=400) for _ in range(3)]
    nats[1][3] = np.inf  # a word that a predictor holds for impossible
    impossible = [np.append(of_one, np.inf) for of_one in nats]
    weights = mixture_weights(nats)
    assert weights.sum() == pytest.approx(1)

    def cost(w: np.ndarray) -> float:
        return -float(np.log(w @ np.exp(-np.stack(nats))).mean())

    for _ in range(50):
        assert cost(weights) <= cost(rng.dirichlet([1, 1, 1])) + 1e-9
        near = np.abs(weights + rng.normal(scale=0.01, size=3))
        assert cost(weights) <= cost(near / near.sum()) + 1e-7
    np.testing.assert_array_equal(mixture_weights(impossible), weights)
    np.testing.assert_allclose(mixture_weights([nats[0], nats[0] + 5]), [1, 0], atol=1e-3)


def test_climbing_stops_where_neighbours_are_no_better_and_leaves_what_is_infinite():
    def cost(value: float) -> float:
        return math.inf if value > 5 else (value - 4) ** 2

    assert hill_climb((1, 2, 3, 4, 5, 6), 2, cost) == 4
    assert hill_climb((1, 2), 2, cost) == 2
    assert hill_climb((3, 4, 5, 6, 7, 8), 7, cost) == 4
    assert hill_climb((0, 9), 9, cost) == 0


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
