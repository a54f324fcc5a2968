"""The adaptive softmax: against its float64 oracle, autograd and finite differences, and its invariances."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from memlm.errors import MemlmError
from memlm.models.layers import softmax
from memlm.models.layers.adaptive import AdaptiveHead, ReducedAdaptiveHead, TiedAdaptiveHead
from memlm.models.layers.head import SoftmaxHead, TrainableHead, output_weight
from tests.oracles import adaptive as oracle_adaptive

V, D, CUTOFFS = 40, 20, (5, 12, 30)
KINDS = ("reduced", "reduced with bias", "tied")
Sampled = tuple[Tensor, Tensor]


def make(
    kind: str, generator: torch.Generator, *, cutoffs: Sequence[int] = CUTOFFS, dtype: torch.dtype = torch.float64
) -> AdaptiveHead:
    head: AdaptiveHead
    if kind == "tied":
        head = TiedAdaptiveHead(nn.Parameter(torch.empty(V, D)), cutoffs)
    else:
        head = ReducedAdaptiveHead(V, D, cutoffs, bias=kind == "reduced with bias")
    head = head.double()
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.7, generator=generator)
    return head.to(dtype)


def sample(generator: torch.Generator, *, rows: int = 60, words: Sequence[int] = range(V)) -> Sampled:
    """States, and targets from among these words."""
    hidden = torch.randn(rows, D, generator=generator, dtype=torch.float64)
    return hidden, torch.tensor(words)[torch.randint(len(words), (rows,), generator=generator)]


def oracle(head: AdaptiveHead, hidden: Tensor) -> np.ndarray:
    """The oracle's probabilities (R, V) under the head's weights."""
    p = {name: value.detach().double().numpy() for name, value in head.named_parameters()}
    if isinstance(head, TiedAdaptiveHead):
        ends = [*head.cutoffs, V]
        weights = [np.concatenate([p["weight"][: ends[0]], p["entries"]])]
        weights += [p["weight"][first:end] for first, end in pairwise(ends)]
        return oracle_adaptive.probabilities(hidden.numpy(), head.cutoffs, weights)
    lists = [[p[name] for name in p if name.startswith(f"{kind}.")] for kind in ("weights", "biases", "projections")]
    return oracle_adaptive.probabilities(hidden.numpy(), head.cutoffs, *lists)


def of_targets(probabilities: np.ndarray, targets: Tensor) -> np.ndarray:
    return np.asarray(-np.log(probabilities[np.arange(len(targets)), targets.numpy()]))


@pytest.mark.parametrize("cutoffs", [(1,), (39,), (5, 12), (5, 12, 30), (1, 2, 3, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_probability_is_the_oracles(kind: str, cutoffs: tuple[int, ...], generator: torch.Generator):
    head = make(kind, generator, cutoffs=cutoffs)
    hidden, targets = sample(generator)
    expected = oracle(head, hidden)
    np.testing.assert_allclose(head.log_probabilities(hidden).detach().exp(), expected, rtol=1e-10)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            np.testing.assert_allclose(head.nats(hidden, targets).detach(), of_targets(expected, targets), rtol=1e-10)
    np.testing.assert_allclose(head.backward(hidden, targets)[0], of_targets(expected, targets), rtol=1e-10)
    single = make(kind, torch.Generator().manual_seed(7), cutoffs=cutoffs, dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(
            single.nats(hidden.float(), targets), of_targets(oracle(single, hidden), targets), atol=1e-5
        )


WORDS = {
    "all": range(V),
    "none in the last cluster": range(30),
    "none in the shortlist": range(5, V),
    "all in one cluster": range(12, 30),
    "at the cut-offs": [0, 4, 5, 11, 12, 29, 30, V - 1],
    "the shortlist alone": range(5),
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_equals_autograd_on_the_slow_formula(kind: str, words: Sequence[int], generator: torch.Generator):
    head = make(kind, generator)
    hidden, targets = sample(generator, words=words)
    hidden.requires_grad_()
    parameters = list(head.parameters())
    nats = -head.log_probabilities(hidden).gather(1, targets[:, None]).squeeze(1)
    grad_hidden, *grads = torch.autograd.grad(nats.sum(), [hidden, *parameters])
    for twice in (1, 2):  # a second pass adds to the first one's gradients
        our_nats, our_grad = head.backward(hidden.detach(), targets)
        torch.testing.assert_close(our_nats, nats)
        torch.testing.assert_close(our_grad, grad_hidden)
        for parameter, grad in zip(parameters, grads, strict=True):
            found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(found, twice * grad)
    by_autograd = torch.autograd.grad(head.nats(hidden, targets).sum(), [hidden, *parameters], allow_unused=True)
    for found, grad in zip(by_autograd, [grad_hidden, *grads], strict=True):
        torch.testing.assert_close(torch.zeros_like(grad) if found is None else found, grad)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences_of_the_oracle(kind: str, generator: torch.Generator):
    head = make(kind, generator)
    hidden, targets = sample(generator)
    _, of_hidden = head.backward(hidden, targets)
    eps = 1e-6
    for values, grad in [(hidden, of_hidden), *((p.data, p.grad) for p in head.parameters())]:
        assert grad is not None
        for _ in range(6):
            at = tuple(int(torch.randint(size, (), generator=generator)) for size in values.shape)
            there, sums = values[at].item(), []
            for value in (there + eps, there - eps):
                values[at] = value
                sums.append(of_targets(oracle(head, hidden), targets).sum())
            values[at] = there
            assert grad[at].item() == pytest.approx((sums[0] - sums[1]) / (2 * eps), abs=1e-6, rel=1e-5)


@pytest.mark.parametrize("kind", ["reduced", "reduced with bias"])
def test_a_cluster_without_targets_has_no_gradient(kind: str, generator: torch.Generator):
    head = make(kind, generator)
    head.backward(*sample(generator, words=range(12)))
    untouched = [name for name, parameter in head.named_parameters() if parameter.grad is None]
    assert {name for name in untouched if "weights" in name} == {"weights.2", "weights.3"}
    assert {name for name in untouched if "projections" in name} == {"projections.1", "projections.2"}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_blocks_of_any_size_give_the_same(
    kind: str, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
):
    head = make(kind, generator)
    hidden, targets = sample(generator)
    found = []
    for block in (1, 7, 60, 500):
        monkeypatch.setattr(softmax, "BLOCK", block)
        head.zero_grad()
        nats, grad = head.backward(hidden, targets)
        with torch.no_grad():
            torch.testing.assert_close(head.nats(hidden, targets), nats)
        found.append([nats, grad, *(p.grad for p in head.parameters())])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_batch_is_the_sum_of_its_rows(data: st.DataObject):
    """Whatever the cut-offs and the targets are."""
    cutoffs = tuple(sorted(data.draw(st.sets(st.integers(1, V - 1), min_size=1, max_size=4))))
    targets = torch.tensor(data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=9)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    kind = data.draw(st.sampled_from(KINDS))
    head, one_by_one = make(kind, generator, cutoffs=cutoffs), make(kind, generator, cutoffs=cutoffs)
    one_by_one.load_state_dict(head.state_dict())
    hidden = torch.randn(len(targets), D, generator=generator, dtype=torch.float64)
    nats, grad = head.backward(hidden, targets)
    rows = [one_by_one.backward(hidden[i : i + 1], targets[i : i + 1]) for i in range(len(targets))]
    torch.testing.assert_close(nats, torch.cat([row[0] for row in rows]))
    torch.testing.assert_close(grad, torch.cat([row[1] for row in rows]))
    for ours, other in zip(head.parameters(), one_by_one.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad)


@pytest.mark.parametrize("kind", ["full", "full with bias", *KINDS])
def test_probabilities_sum_to_one_for_random_and_extreme_states(kind: str, generator: torch.Generator):
    head: TrainableHead
    if kind.startswith("full"):
        head = SoftmaxHead(output_weight(V, D), bias=kind == "full with bias")
        for parameter in head.parameters():
            nn.init.normal_(parameter, generator=generator)
    else:
        head = make(kind, generator, dtype=torch.float32)
    for size in (1, 100):
        hidden = size * torch.randn(50, D, generator=generator)
        log_p = head.log_probabilities(hidden)
        assert log_p.shape == (50, V)
        torch.testing.assert_close(log_p.exp().sum(1), torch.ones(50), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_products_are_close_to_float32_ones(kind: str, generator: torch.Generator):
    head = make(kind, generator, dtype=torch.float32)
    hidden, targets = sample(generator)
    results = []
    for precision in (torch.float32, torch.bfloat16):
        head.precision = precision
        head.zero_grad()
        nats, grad = head.backward(hidden.float(), targets)
        results.append([nats, grad, *(parameter.grad for parameter in head.parameters())])
    for exact, low in zip(*results, strict=True):
        assert exact is not None
        assert low is not None
        assert low.dtype == torch.float32
        assert 0 < (low - exact).norm() / exact.norm() < 0.02


def test_each_cluster_has_a_quarter_of_the_units_of_the_one_before(generator: torch.Generator):
    head = make("reduced", generator)
    assert [tuple(head.part(index).weight.shape) for index in range(4)] == [(8, 20), (7, 5), (18, 1), (10, 1)]
    assert sum(p.numel() for p in head.parameters()) == 8 * 20 + 7 * 5 + 18 + 10 + (5 + 1 + 1) * 20


def test_cut_offs_beyond_the_vocabulary_are_refused():
    with pytest.raises(
        MemlmError, match=r"cutoffs end at 40; with 40 words in the vocabulary they must be below that"
    ):
        ReducedAdaptiveHead(V, D, (5, 40), bias=False)
