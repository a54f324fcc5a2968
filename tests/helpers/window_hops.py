"""Hops over windows, and all that comes out of them."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from memlm.kernels.hops import WindowHops
from memlm.models.layers.windows import by_pytorch, hop


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
