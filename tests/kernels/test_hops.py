"""Hops over windows against PyTorch in float64, at each vector length that this machine has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlm.kernels.hops import WindowHops
from memlm.models.layers.windows import hop
from tests.helpers.compiled import compiled
from tests.helpers.window_hops import Drawn, taken


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
@pytest.mark.parametrize("bad", [-1, 9])
def test_a_word_that_no_table_has_is_refused(bad: int):
    hops = WindowHops(torch.tensor([[0, bad, 8]]), [torch.zeros(9, 4)], [], 2, [(0, 0)], None, 4, None)
    with pytest.raises(IndexError, match="not from 0 to 8"):
        hop(hops, torch.zeros(1, 2, 4))


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
def test_nan_goes_through_the_hops_and_back(generator: torch.Generator):
    table = torch.randn(9, 4, generator=generator).requires_grad_()
    hops = WindowHops(torch.tensor([[0, 1, 2]]), [table], [], 2, [(0, 0)] * 2, None, 0, None)
    state, _ = hop(hops, torch.full((1, 2, 4), torch.nan))
    assert state.isnan().all()
    state, _ = hop(hops, -torch.ones(1, 2, 4) * 100)
    (grad,) = torch.autograd.grad(state, table, torch.full_like(state, torch.nan))
    assert grad.to_dense().isnan().any()
