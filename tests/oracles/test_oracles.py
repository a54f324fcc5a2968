"""The oracles themselves, on cases worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.oracles import lstm as oracle_lstm
from tests.oracles import memn2n as memn2n

LN2, LN3 = np.log([2.0, 3.0])


def random_weights(tying, hops=3, V=7, D=4, N=5, seed=0) -> dict[str, Any]:
    draw = np.random.default_rng(seed).standard_normal
    if tying == "adjacent":
        return {"E": [draw((V, D)) for _ in range(hops + 1)], "T": [draw((N, D)) for _ in range(hops + 1)]}
    shapes = {"A": (V, D), "C": (V, D), "T_A": (N, D), "T_C": (N, D), "H": (D, D), "W": (V, D)}
    return {name: draw(shape) for name, shape in shapes.items()}


def drop_rows(weights, rows) -> dict[str, Any]:
    """The weights of a memory that has only the last slots."""
    cut = {k: v[rows:] for k, v in weights.items() if k in ("T_A", "T_C")}
    if "T" in weights:
        cut["T"] = [T[rows:] for T in weights["T"]]
    return {**weights, **cut}


def test_one_hop_by_hand():
    """From u = (.1, .1): scores 0 and ln 2; o = (1, -2); H u = (1, 0); so u becomes (2, -2)."""
    w = {
        "A": [[0, 0], [10 * LN2, 0]],
        "C": [[3, 0], [0, -3]],
        "H": [[0, 10], [0, 0]],
        "W": [[0, LN3 / 2], [LN3 / 2, 0]],
    }
    half = {"hops": 1, "linear_units": 1, "tying": "layerwise"}
    np.testing.assert_allclose(memn2n.attention_of_window([0, 1], w, **half), [[1 / 3, 2 / 3]])
    np.testing.assert_allclose(memn2n.distribution_of_window([0, 1], w, **half), [1 / 4, 3 / 4])
    assert memn2n.nats_of_window([0, 1], 0, w, **half) == pytest.approx(2 * LN2)
    p = memn2n.distribution_of_window([0, 1], w, hops=1, linear_units=2, tying="layerwise")
    np.testing.assert_allclose(p, [1 / 10, 9 / 10])
    # With time: scores 2 ln 2 and ln 2, the slots' contents both (3, 0), u becomes (4, 0).
    timed = {**w, "T_A": [[0, 20 * LN2], [0, 0]], "T_C": [[0, 0], [3, 3]]}
    np.testing.assert_allclose(memn2n.attention_of_window([0, 1], timed, **half), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(memn2n.distribution_of_window([0, 1], timed, **half), [1 / 10, 9 / 10])


@pytest.mark.parametrize(
    ("middle", "linear_units", "second_scores", "state"),
    [
        ([0.4, 1.4], 0, [0.4, 1.4], 1.0),  # .1 + (.4 + 1.4) / 2
        ([-0.6, -1.6], 0, [0.0, 0.0], 0.0),  # .1 - 1.1, made 0
        ([-0.6, -1.6], 1, [0.6, 1.6], -1.0),  # .1 - 1.1, kept
    ],
)
def test_two_adjacent_hops_by_hand(middle, linear_units, second_scores, state):
    w = {"E": [np.zeros((2, 1)), np.array(middle)[:, None], np.array([[0.0], [2.0]])]}
    options = {"hops": 2, "linear_units": linear_units, "tying": "adjacent"}
    second = 1 / (1 + np.exp(second_scores[0] - second_scores[1]))
    np.testing.assert_allclose(memn2n.attention_of_window([0, 1], w, **options), [[0.5, 0.5], [1 - second, second]])
    last = 1 / (1 + np.exp(-2 * (state + 2 * second)))  # W = E[2]
    np.testing.assert_allclose(memn2n.distribution_of_window([0, 1], w, **options), [1 - last, last])


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
@pytest.mark.parametrize("empty", [0, 2, 5])
def test_empty_slots_are_a_shorter_memory(tying, empty):
    w, options = random_weights(tying), {"hops": 3, "linear_units": 2, "tying": tying}
    padded = [memn2n.EMPTY] * empty + (words := [3, 6, 1, 1, 0][empty:])
    attention = memn2n.attention_of_window(padded, w, **options)
    assert not attention[:, :empty].any()
    np.testing.assert_allclose(attention.sum(1), [float(empty < 5)] * 3)
    p = memn2n.distribution_of_window(padded, w, **options)
    assert p.sum() == pytest.approx(1)
    np.testing.assert_allclose(p, memn2n.distribution_of_window(words, drop_rows(w, empty), **options))


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_text_is_scored_from_the_words_before(tying):
    w, options = random_weights(tying), {"hops": 3, "linear_units": 2, "tying": tying}
    tokens = [4, 5, 6, 0, 1, 2, 3]
    nats = memn2n.nats_per_token(tokens, w, memory_size=5, **options)
    windows = {0: [-1] * 5, 2: [-1, -1, -1, 4, 5], 5: [4, 5, 6, 0, 1], 6: [5, 6, 0, 1, 2]}
    for t, window in windows.items():
        assert nats[t] == memn2n.nats_of_window(window, tokens[t], w, **options)


def test_adjacent_encodings_are_tied_like_the_embeddings():
    w, options = random_weights("adjacent"), {"hops": 3, "linear_units": 2, "tying": "adjacent"}
    merged = {"E": [E + np.pad(T, ((0, 2), (0, 0))) for E, T in zip(w["E"], w["T"], strict=True)]}
    p, q = (memn2n.distribution_of_window(range(5), x, **options) for x in (w, merged))
    assert p[5] / p[6] == pytest.approx(q[5] / q[6])  # words whose output rows are the same


def test_facebook_protocol():
    assert memn2n.facebook_protocol(range(82_430), np.ones(82_430), 100) == (82_432.0, 82_432, 82_329)
    # Positions 4 to 8 of nine, three batches of 4: twice round, then 4 and 5 again.
    assert memn2n.facebook_protocol(range(9), 10.0 ** np.arange(9), 3, 4) == (222_330_000.0, 12, 5)


@pytest.mark.parametrize("layers", [1, 2])
def test_lstm_against_torch(layers):
    torch.manual_seed(1)
    embedding = torch.nn.Embedding(6, 3, dtype=torch.float64)
    lstm = torch.nn.LSTM(3, 4, layers, dtype=torch.float64)
    output = torch.nn.Linear(4, 6, dtype=torch.float64)
    tokens = torch.tensor([5, 0, 0, 3, 1, 4, 2, 5])
    inputs = torch.cat([torch.tensor([2]), tokens[:-1]])
    w = {"embedding": embedding.weight, "W": output.weight, **dict(lstm.named_parameters())}
    arrays = {name: value.detach().numpy() for name, value in w.items()}
    for bias in (output.bias, None):
        logits = torch.nn.functional.linear(lstm(embedding(inputs))[0], output.weight, bias)
        expected = torch.nn.functional.cross_entropy(logits, tokens, reduction="none").detach().numpy()
        full = {**arrays, "b": None if bias is None else bias.detach().numpy()}
        nats = oracle_lstm.nats_per_token(tokens.numpy(), full, layers=layers, start_token=2)
        np.testing.assert_allclose(nats, expected, rtol=1e-12)
