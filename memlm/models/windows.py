"""Hops over sliding windows: by the compiled kernels where they fit, else by memlm.models.memory.

B rows, L targets in a row, N memory slots, K hops, D units.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from memlm import native
from memlm.models.embedding import embed, gradients
from memlm.models.memory import Hops, SlidingWindows, windows_filled
from memlm.native.hops import Taken, WindowHops


def hop(hops: WindowHops, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The state (B, L, D) after the hops, and each hop's attention (B, L, N), which is not differentiable."""
    if not native.fits(u, *hops.tables, *hops.times, hops.transition):
        return by_pytorch(hops, u)
    shared = [*hops.times, *([] if hops.transition is None else [hops.transition])]
    state, attention = _CompiledHops.apply(hops, u, *hops.tables, *shared)  # type: ignore[no-untyped-call]
    return state, attention.unbind(2)


def by_pytorch(hops: WindowHops, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same, of any type and on any device."""
    words = embed(hops.ids, hops.tables)
    times: Sequence[Tensor | None] = hops.times or [None] * len(words)
    memories = [SlidingWindows(word, time, hops.slots) for word, time in zip(words, times, strict=True)]
    filled = None if hops.filled is None else windows_filled(hops.filled, hops.slots)
    return Hops(memories, hops.pairs, hops.transition, hops.linear, filled)(u)


class _CompiledHops(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hops: WindowHops, u: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        ctx.taken = Taken(hops, u)
        state, attention = ctx.taken.results()  # which `taken` must not hold: they hold it, and would never be freed
        ctx.mark_non_differentiable(attention)
        return state, attention

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        found, hops = ctx.taken.backward(grad, wants_first=ctx.needs_input_grad[1]), ctx.taken.hops
        of_tables = gradients(hops.ids, found.words, hops.tables[0].shape)
        return None, found.u, *of_tables, *found.times, *([] if found.transition is None else [found.transition])
