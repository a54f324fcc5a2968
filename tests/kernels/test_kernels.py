"""The compiled kernels against PyTorch in float64, at each vector length that this machine has."""

import ctypes
import gc
import shutil
import sys
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memlm import kernels
from memlm.config.models import MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.errors import MemlmError
from memlm.kernels.hops import WindowHops
from memlm.kernels.rows import add_rows, sum_words
from memlm.kernels.softmax import losses
from memlm.models.build import build_initialised
from memlm.models.layers import softmax
from memlm.models.layers.windows import by_pytorch, hop
from memlm.training.text import SingleLearner

compiled = pytest.mark.skipif(not kernels.fits(), reason="the kernels are not compiled here")
FLOATS = (4, 8, 16)


@pytest.fixture(params=FLOATS)
def floats(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Vectors of so many floats at most; a machine that has no longer ones repeats the last."""
    monkeypatch.setattr(kernels, "FLOATS", request.param)
    return int(request.param)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="no C compiler")
def test_an_installation_with_a_compiler_has_the_kernels():
    assert kernels.fits(), "memlm/kernels is not compiled: run `pip install --editable .` again"


class Drawn:
    """Hops over windows of random sizes and values, and a first state for them."""

    def __init__(self, data: st.DataObject) -> None:
        R, B, L, N, D, K, V = (data.draw(st.integers(1, most)) for most in (3, 3, 9, 20, 37, 4, 9))
        self.generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
        adjacent, one, timed, turned, stacked = (data.draw(st.booleans()) for _ in range(5))
        restarts = (R,) if stacked and (timed or turned) else ()
        R = R if restarts else 1
        pairs = [(k, k + 1) for k in range(K)] if adjacent else [(0, 0 if one else 1)] * K
        tables = 1 + max(read for _, read in pairs)
        filled = None
        if data.draw(st.booleans()):
            share = data.draw(st.sampled_from([0.0, 0.1, 0.7]))
            filled = torch.rand(R * B, L + N - 1, generator=self.generator) < share
        self.first = self.draw(R * B, L, D)
        self.hops = WindowHops(
            ids=torch.randint(R * V, (R * B, L + N - 1), generator=self.generator),
            tables=[self.draw(*restarts, V, D) for _ in range(tables)],
            times=[self.draw(*restarts, N, D) for _ in range(tables if timed else 0)],
            slots=N,
            pairs=pairs,
            transition=self.draw(*restarts, D, D) if turned else None,
            linear_units=data.draw(st.integers(0, D)),
            filled=filled,
        )

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator) * 0.4


def taken(hops: WindowHops, first: Tensor, *, exact: bool) -> list[Tensor]:
    """The state, each hop's attention, and the gradients of all that has one."""
    kind = torch.float64 if exact else torch.float32

    def leaf(values: Tensor) -> Tensor:
        return values.detach().to(kind).requires_grad_()

    u, tables, times = leaf(first), [leaf(w) for w in hops.tables], [leaf(t) for t in hops.times]
    transition = None if hops.transition is None else leaf(hops.transition)
    ours = hops._replace(tables=tables, times=times, transition=transition)
    state, attention = by_pytorch(ours, u) if exact else hop(ours, u)
    leaves = [u, *tables, *times, *([] if transition is None else [transition])]
    weight = torch.linspace(-1, 1, state.numel(), dtype=kind).view_as(state)
    grads = torch.autograd.grad((state * weight).sum(), leaves, materialize_grads=True)
    return [state.detach(), *attention, *(grad.to_dense() for grad in grads)]


@compiled
@pytest.mark.usefixtures("floats")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_hops_are_those_of_pytorch(data: st.DataObject):
    drawn = Drawn(data)
    exact, ours = (taken(drawn.hops, drawn.first, exact=exact) for exact in (True, False))
    for expected, found in zip(exact, ours, strict=True):
        scale = float(expected.abs().max()) + 0.1  # float32 by PyTorch is up to 1e-4 off, with many hops
        torch.testing.assert_close(found.double() / scale, expected / scale, rtol=0, atol=3e-4)


@compiled
def test_a_gradient_of_the_first_state_is_given_only_where_it_is_wanted(generator: torch.Generator):
    tables = [torch.randn(9, 5, generator=generator).requires_grad_() for _ in range(2)]
    first = torch.full((2, 3, 5), 0.1)
    hops = WindowHops(torch.arange(16).view(2, 8) % 9, tables, [], 6, [(0, 1)] * 2, None, 5, None)
    alone = torch.autograd.grad(hop(hops, first)[0].sum(), tables)
    with_first = torch.autograd.grad(hop(hops, first.requires_grad_())[0].sum(), [*tables, first])
    for found, expected in zip(alone, with_first, strict=False):
        assert torch.equal(found.to_dense(), expected.to_dense())


@compiled
@pytest.mark.parametrize("bad", [-1, 9])
def test_a_word_that_no_table_has_is_refused(bad: int):
    hops = WindowHops(torch.tensor([[0, bad, 8]]), [torch.zeros(9, 4)], [], 2, [(0, 0)], None, 4, None)
    with pytest.raises(IndexError, match="not from 0 to 8"):
        hop(hops, torch.zeros(1, 2, 4))


@compiled
@pytest.mark.parametrize("bad", [-1, 4])
def test_a_target_that_is_no_class_is_refused(bad: int):
    with pytest.raises(IndexError, match="not from 0 to 3"):
        losses(torch.zeros(2, 4), torch.tensor([0, bad]), gradient=True)


@compiled
def test_ids_may_lie_in_any_way_and_be_of_any_type():
    tables, first = [torch.eye(9, 4, requires_grad=True)], torch.ones(3, 2, 4)
    apart = torch.arange(18, dtype=torch.int32).view(3, 6)[:, ::2] % 9
    results = []
    for ids in (apart, apart.long().contiguous()):
        state, _ = hop(WindowHops(ids, tables, [], 2, [(0, 0)], None, 4, None), first)
        results.append((state, torch.autograd.grad(state.square().sum(), tables)[0].to_dense()))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@compiled
@pytest.mark.parametrize("changed", ["ids", "table", "attention"])
def test_a_change_between_forward_and_backward_is_noticed(changed: str):
    ids, table = torch.tensor([[0, 1, 2]]), torch.eye(9, 4, requires_grad=True)
    state, (attention,) = hop(WindowHops(ids, [table], [], 2, [(0, 0)], None, 4, None), torch.ones(1, 2, 4))
    with torch.no_grad():
        {"ids": ids, "table": table, "attention": attention}[changed].mul_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.sum().backward()


@compiled
def test_nan_goes_through_the_hops_and_back(generator: torch.Generator):
    table = torch.randn(9, 4, generator=generator).requires_grad_()
    hops = WindowHops(torch.tensor([[0, 1, 2]]), [table], [], 2, [(0, 0)] * 2, None, 0, None)
    state, _ = hop(hops, torch.full((1, 2, 4), torch.nan))
    assert state.isnan().all()
    state, _ = hop(hops, -torch.ones(1, 2, 4) * 100)
    (grad,) = torch.autograd.grad(state, table, torch.full_like(state, torch.nan))
    assert grad.to_dense().isnan().any()


@compiled
def test_results_do_not_depend_on_the_number_of_threads(generator: torch.Generator):
    ids, tables = torch.arange(7 * 24).view(7, 24) % 50, [torch.randn(50, 19, generator=generator) for _ in range(2)]
    times = [torch.randn(20, 19, generator=generator) for _ in range(2)]
    hops = WindowHops(ids, tables, times, 20, [(0, 1)] * 3, torch.randn(19, 19, generator=generator), 9, None)
    logits = torch.randn(9, 101, generator=generator)
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            of_logits = logits.clone()
            nats = losses(of_logits, torch.arange(9), gradient=True)
            results.append([*taken(hops, torch.ones(7, 5, 19), exact=False)[:7], nats, of_logits])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@compiled
def test_what_the_hops_need_for_their_gradients_goes_with_their_state():
    tables = [torch.zeros(1, 4, requires_grad=True)]
    hops = WindowHops(torch.zeros(1, 3, dtype=torch.int64), tables, [], 2, [(0, 0)], None, 4, None)
    gc.disable()
    try:
        state, _ = hop(hops, torch.zeros(1, 2, 4))
        held = weakref.ref(state)
        del state
        assert held() is None
    finally:
        gc.enable()


@compiled
@pytest.mark.usefixtures("floats")
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 5),
    classes=st.integers(1, 70),
    size=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_losses_and_their_gradients_are_those_of_pytorch(rows: int, classes: int, size: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator) * size
    targets = torch.randint(classes, (rows,), generator=generator)
    exact = logits.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(exact, targets, reduction="none")
    (expected_grad,) = torch.autograd.grad(expected.sum(), exact)
    found = logits.clone()
    nats = losses(found, targets, gradient=True)
    torch.testing.assert_close(nats.double(), expected.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.double(), expected_grad, rtol=0, atol=1e-6)
    assert torch.equal(losses(logits.clone(), targets, gradient=False), nats)


@compiled
@pytest.mark.usefixtures("floats")
def test_bfloat16_logits_are_rounded_once(generator: torch.Generator):
    logits, targets = (torch.randn(4, 67, generator=generator) * 5).bfloat16(), torch.tensor([0, 3, 66, 3])
    wide, low = logits.float(), logits.clone()
    assert torch.equal(losses(low, targets, gradient=True), losses(wide, targets, gradient=True))
    assert torch.equal(low, wide.bfloat16())


@compiled
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 3, 16])
def test_what_is_not_finite_shows_in_the_loss(bad: float, place: int, floats: int):
    logits = torch.zeros(1, 17)
    logits[0, place] = bad
    assert losses(logits, torch.tensor([5]), gradient=True).isnan().all()


@compiled
@given(ids=st.lists(st.integers(0, 200), max_size=60), units=st.integers(1, 20))
def test_rows_are_summed_by_word_and_added_to_a_table(ids: list[int], units: int):
    rng = np.random.default_rng(len(ids))
    rows = rng.standard_normal((len(ids), units)).astype(np.float32)
    table = rng.standard_normal((201, units)).astype(np.float32)
    words, (sums,) = sum_words(torch.tensor(ids, dtype=torch.int64), [torch.from_numpy(rows)], 201)
    assert words.tolist() == sorted(set(ids))
    expected = table.astype(np.float64)
    np.add.at(expected, np.array(ids, dtype=np.int64), -0.5 * rows.astype(np.float64))
    add_rows(torch.from_numpy(table), words, sums, -0.5)
    np.testing.assert_allclose(table, expected, atol=1e-5)


@compiled
@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_training_without_kernels_is_the_same_up_to_rounding(tying: str, monkeypatch: pytest.MonkeyPatch):
    model = MemN2NConfig(hops=2, memory_size=6, units=8, tying=tying, init_std=0.5)
    train = TrainConfig(batch_size=8, chunk_length=4, precision="float32", device="cpu", lr=0.1)
    tokens = np.arange(300, dtype=np.int32) % 17
    weights = []
    for library in (kernels._library, lambda: None):
        monkeypatch.setattr(kernels, "_library", library)
        training = SingleLearner(
            build_initialised(model, vocabulary_size=17, eos=0, seed=1), train, torch.device("cpu")
        )
        for span in plan_epoch(train, len(tokens), 0)[:5]:
            training.step(gather(tokens, span, training.model.context_size))
        weights.append(list(training.model.parameters()))
    for ours, theirs in zip(*weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@compiled
def test_a_library_of_another_version_is_refused():
    job = type("Longer", (kernels.Job,), {"_fields_": [("x", ctypes.c_long)]})()
    with pytest.raises(MemlmError, match="another version"):
        kernels.call("memlm_softmax", job)
    with pytest.raises(MemlmError, match="another version"):
        kernels.call("memlm_unknown", job)


def test_without_kernels_pytorch_does_the_same(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator):
    rows, weight = torch.randn(5, 7, generator=generator), torch.randn(30, 7, generator=generator)
    targets = torch.tensor([0, 3, 29, 7, 7])
    ours = softmax.gradients(rows, targets, weight, None, torch.float32)
    monkeypatch.setattr(kernels, "_library", lambda: None)
    assert not kernels.fits(rows)
    theirs = softmax.gradients(rows, targets, weight, None, torch.float32)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(a, b)
    assert kernels.described() == "none: PyTorch alone"
