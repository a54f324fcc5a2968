"""Hops over sliding windows, with the compiled kernels if they fit, otherwise with memlm.models.layers.memory.

B rows, L targets per row, N memory slots, K hops, D units.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from memlm import kernels
from memlm.kernels.hops import HopsForward, WindowHops
from memlm.models.layers.embedding import embed, gradients
from memlm.models.layers.memory import Hops, SlidingWindows, windows_filled


def hop(hops: WindowHops, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the hops from the first state u (B, L, D).

    Returns the state (B, L, D) after the hops, and each hop's attention (B, L, N), which is not differentiable.
    """
    if not kernels.fits(u, *hops.weights):
        return by_pytorch(hops, u)
    state, attention = _CompiledHops.apply(hops, u, *hops.weights)  # type: ignore[no-untyped-call]
    return state, attention.unbind(2)


def by_pytorch(hops: WindowHops, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`hop` without compiled kernels: for tensors of any type, on any device."""
    words = embed(hops.ids, hops.tables)
    times: Sequence[Tensor | None] = hops.times or [None] * len(words)
    memories = [SlidingWindows(word, time, hops.slots) for word, time in zip(words, times, strict=True)]
    filled = None if hops.filled is None else windows_filled(hops.filled, hops.slots)
    return Hops(memories, hops.pairs, hops.transition, hops.linear_units, filled)(u)


class _CompiledHops(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hops: WindowHops, u: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        ctx.computed = HopsForward(hops, u)
        ctx.save_for_backward(hops.ids, *hops.weights, ctx.computed.weights)  # autograd detects changes in place
        state, attention = ctx.computed.results()  # not kept in ctx.computed: a cycle of references is never freed
        ctx.mark_non_differentiable(attention)
        ctx.set_materialize_grads(False)
        return state, attention

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        ids, table, *_weights = ctx.saved_tensors
        if grad is None:
            return (None,) * len(ctx.needs_input_grad)
        found = ctx.computed.backward(grad, wants_first=ctx.needs_input_grad[1])
        return None, found.u, *gradients(ids, found.words, table.shape), *found.others
