"""The memory network against the paper's float64 oracle, and its invariances."""

import numpy as np
import pytest
import torch

from memlm.config.models import MemN2NConfig
from memlm.diagnostics.bench import per_window
from memlm.evaluation.perplexity import token_nats
from memlm.models.memn2n import MemN2N
from tests.conftest import parameters_as_float64
from tests.oracles import memn2n as oracle_memn2n

V, N, D, K = 17, 6, 8, 3


def make(tying: str, generator: torch.Generator, *, temporal_encoding: bool = True) -> MemN2N:
    config = MemN2NConfig(
        hops=K, memory_size=N, units=D, linear_units=3, tying=tying, temporal_encoding=temporal_encoding, init_std=0.6
    )
    model = MemN2N(config, V).double()
    model.initialise(generator.initial_seed())
    return model


def oracle_weights(model: MemN2N) -> dict[str, object]:
    """The model's parameters under the names of the paper."""
    p = parameters_as_float64(model)
    embeddings = [p[f"embeddings.{i}"] for i in range(len(model.embeddings))]
    times = [p[f"times.{i}"] for i in range(len(model.times))] or None
    if not model.layerwise:
        return {"E": embeddings, "T": times}
    weights: dict[str, object] = {"A": embeddings[0], "C": embeddings[1], "H": p["transition"], "W": p["head.weight"]}
    return weights | ({"T_A": times[0], "T_C": times[1]} if times else {})


@pytest.mark.parametrize("temporal_encoding", [True, False])
@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_every_token_of_a_text_agrees_with_the_oracle(
    tying: str, temporal_encoding: bool, generator: torch.Generator, rng: np.random.Generator
):
    model = make(tying, generator, temporal_encoding=temporal_encoding)
    tokens = rng.integers(V, size=75).astype(np.int32)
    expected = oracle_memn2n.nats_per_token(
        tokens, oracle_weights(model), hops=K, memory_size=N, linear_units=3, tying=tying
    )
    np.testing.assert_allclose(token_nats(model, tokens), expected, rtol=1e-10)
    np.testing.assert_allclose(token_nats(model.float(), tokens), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("temporal_encoding", [True, False])
@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_sliding_windows_equal_gathered_ones_values_and_gradients(
    tying: str, temporal_encoding: bool, length: int, generator: torch.Generator
):
    model = make(tying, generator, temporal_encoding=temporal_encoding)
    inputs = torch.randint(V, (3, N + length - 1), generator=generator)
    inputs[0, : N - 1] = -1
    inputs[1] = -1  # a memory that is empty altogether
    weight = torch.randn(3, length, D, generator=generator, dtype=torch.float64)
    results = []
    for states in (model(inputs)[0], per_window.hidden_states(model, inputs)):
        parameters = [p for name, p in model.named_parameters() if name != "head.weight"]
        grads = torch.autograd.grad((states * weight).sum(), parameters)
        results.append([states, *(grad.to_dense() for grad in grads)])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_attention_agrees_with_the_oracle(tying: str, generator: torch.Generator, rng: np.random.Generator):
    model = make(tying, generator)
    inputs = rng.integers(V, size=(1, N + 1))
    inputs[0, :2] = -1
    ours = model.attention(torch.from_numpy(inputs)).detach().numpy()
    assert ours.shape == (K, 1, 2, N)
    for at in range(2):
        expected = oracle_memn2n.attention_of_window(
            inputs[0, at : at + N], oracle_weights(model), hops=K, linear_units=3, tying=tying
        )
        np.testing.assert_allclose(ours[:, 0, at], expected, atol=1e-12)
        np.testing.assert_allclose(ours[:, 0, at].sum(axis=1), 1)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_training_gradients_agree_with_finite_differences(tying: str, generator: torch.Generator):
    model = make(tying, generator)
    inputs = torch.randint(V, (2, N + 2), generator=generator)
    inputs[0, 0] = -1
    targets = torch.randint(V, (2, 3), generator=generator)
    rows = model(inputs)[0].flatten(0, 1)
    _, grad = model.head.backward(rows.detach(), targets.flatten())
    rows.backward(grad)

    eps = 1e-6
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        dense = parameter.grad.to_dense()
        for _ in range(8):
            at = tuple(int(torch.randint(size, (), generator=generator)) for size in parameter.shape)
            there = parameter.data[at].item()
            sums = []
            for value in (there + eps, there - eps):
                parameter.data[at] = value
                sums.append(model.nats(inputs, targets)[0].sum().item())
            parameter.data[at] = there
            assert dense[at].item() == pytest.approx((sums[0] - sums[1]) / (2 * eps), abs=1e-6, rel=1e-5), name


@pytest.mark.parametrize("targets_at_once", [1, 3, 32, 200])
def test_the_score_does_not_depend_on_the_batch(
    targets_at_once: int, generator: torch.Generator, rng: np.random.Generator
):
    model = make("layerwise", generator)
    tokens = rng.integers(V, size=150).astype(np.int32)
    np.testing.assert_allclose(token_nats(model, tokens, targets_at_once=targets_at_once), token_nats(model, tokens))


def test_words_beyond_the_memory_do_not_matter(generator: torch.Generator, rng: np.random.Generator):
    model = make("adjacent", generator)
    tokens = rng.integers(V, size=40).astype(np.int32)
    changed = tokens.copy()
    changed[: 39 - N] = (changed[: 39 - N] + 1) % V
    assert token_nats(model, changed)[-1] == token_nats(model, tokens)[-1]
    changed[39 - N] = (changed[39 - N] + 1) % V
    assert token_nats(model, changed)[-1] != token_nats(model, tokens)[-1]


def test_parameter_count_of_the_paper():
    assert MemN2N(MemN2NConfig(hops=7, memory_size=200), 10_000).parameter_count == 4_582_500


def test_only_rows_that_were_seen_have_an_embedding_gradient(generator: torch.Generator):
    model = make("layerwise", generator)
    inputs = torch.tensor([[1, 2, 1, 3, 2, 1, 1]])
    model.nats(inputs, torch.tensor([[4, 5]]))[0].sum().backward()
    grad = model.embeddings[0].grad
    assert grad is not None
    assert grad.is_sparse
    assert set(grad.coalesce().indices()[0].tolist()) == {1, 2, 3}
