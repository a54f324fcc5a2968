"""Compiled hops as an operation of autograd."""

import gc
import weakref

import pytest
import torch

from memlm.kernels.hops import WindowHops
from memlm.models.layers.windows import hop
from tests.helpers.compiled import compiled


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
@pytest.mark.parametrize("changed", ["ids", "table", "attention"])
def test_a_change_between_forward_and_backward_is_noticed(changed: str):
    ids, table = torch.tensor([[0, 1, 2]]), torch.eye(9, 4, requires_grad=True)
    state, (attention,) = hop(WindowHops(ids, [table], [], 2, [(0, 0)], None, 4, None), torch.ones(1, 2, 4))
    with torch.no_grad():
        {"ids": ids, "table": table, "attention": attention}[changed].mul_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.sum().backward()


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
