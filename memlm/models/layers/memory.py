"""Attention over a memory, repeated for K hops. Language modelling and question answering share this code.

A memory has two operations: `match(u)` scores its slots, and `read(p)` returns the weighted sum of its vectors. The
hops, the transition between them, linear start and the non-linearity are the same for every kind of memory.

B rows, L targets per row, N memory slots, M = L+N-1 words that the windows of a row cover, K hops, D units.
Rows may belong to R restarts: the first B / R rows to the first restart, and so on. Then weights are (R, ...): each
restart has its own. In question answering a row is a restart, and its targets are the questions.
Source: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2, 4 and 5.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Memory(Protocol):
    """Slots that can be scored against a state and read with weights. Both operations are linear in `tensors`.

    Each operation is the gradient of the other. So the forward and the backward pass use the same three functions.
    """

    tensors: tuple[Tensor, ...]  # the tensors that the slots are computed from

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N) of the slots for the states u (B, L, D)."""

    def arrange(self, p: Tensor) -> Tensor:
        """Weights p (B, L, N), in the layout that `read` and `gradients` multiply."""

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add the sum of the slots' vectors, with weights p (B, L, N), to `into` (B, L, D)."""

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of `tensors`: the sum of p u^T over pairs of weights p (B, L, N) and states u (B, L, D)."""


class Hops(NamedTuple):
    """The hops over one or more memories, to be called with the first state.

    A hop computes u <- H u + o with a transition H, (D, D) or (R, D, D), or u + o without one. Then all but the first
    `linear_units` units go through a ReLU. `pairs` has for each hop the numbers of the memory to match and of the
    memory to read. Slots that are not `filled` (B, L, N) have weight 0. With `null`, one more slot of zeros takes part
    in the softmax, so that a hop can attend to nothing. Rows with `linear_start` (B, 1, 1) go without the softmax.
    """

    memories: Sequence[Memory]
    pairs: Sequence[tuple[int, int]]
    transition: Tensor | None
    linear_units: int
    filled: Tensor | None
    null: bool = False
    linear_start: Tensor | None = None

    def __call__(self, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The state (B, L, D) after the hops, and each hop's attention (B, L, N), which is not differentiable."""
        tensors = [tensor for memory in self.memories for tensor in memory.tensors]
        if self.transition is not None:
            tensors.append(self.transition)
        state, *attention = _HopStack.apply(self, u, *tensors)  # type: ignore[no-untyped-call]
        return state, tuple(attention)


def attend(scores: Tensor, filled: Tensor | None, *, null: bool = False, linear_start: Tensor | None = None) -> Tensor:
    """Softmax over the slots (last dimension), or the scores themselves for rows with `linear_start`.

    A slot that is not `filled` has weight 0. If no slot is filled, all weights are 0, and the memory reads as zeros.
    With `null`, one more slot of score 0 takes part in the softmax. Its weight is not returned.
    """
    if linear_start is not None:
        plain = scores.clone() if filled is None else scores.masked_fill(~filled, 0)
        return torch.where(linear_start, plain, attend(scores, filled, null=null))
    if null:
        if filled is not None:
            scores.masked_fill_(~filled, -torch.inf)
        return torch.softmax(torch.cat([scores, torch.zeros_like(scores[..., :1])], dim=-1), dim=-1)[
            ..., :-1
        ].contiguous()
    if filled is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min / 2  # finite, so that a row without filled slots does not become NaN
    return torch.softmax(scores.masked_fill_(~filled, lowest), dim=-1).mul_(filled)


def _attend_backward(grad: Tensor, weights: Tensor, filled: Tensor | None, linear_start: Tensor | None) -> Tensor:
    """The gradient of the scores, from the gradient of the weights. The weights need not sum to 1."""
    of_softmax = torch._softmax_backward_data(grad, weights, -1, grad.dtype)
    if linear_start is None:
        return of_softmax
    return torch.where(linear_start, grad if filled is None else grad * filled, of_softmax)


class _HopStack(torch.autograd.Function):
    """All hops in one autograd function: the gradients of a memory are then one product for all hops that use it."""

    @staticmethod
    def forward(ctx: Any, hops: Hops, u: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        states, weights, arranged = [u], [], []
        for matched, read in hops.pairs:
            p = attend(hops.memories[matched].match(u), hops.filled, null=hops.null, linear_start=hops.linear_start)
            z = u.clone() if hops.transition is None else _times(u, hops.transition.mT)
            band = hops.memories[read].arrange(p)
            hops.memories[read].read(z, p, band)
            z[..., hops.linear_units :].relu_()
            u = z
            states.append(u)
            weights.append(p)
            arranged.append(band)
        ctx.hops = hops
        ctx.save_for_backward(*states, *weights, *arranged)
        ctx.mark_non_differentiable(*weights)
        return u, *weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        hops, K = ctx.hops, len(ctx.hops.pairs)
        saved = ctx.saved_tensors
        states, weights, arranged = saved[: K + 1], saved[K + 1 : 2 * K + 1], saved[2 * K + 1 :]
        used: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in hops.memories]  # (p, arranged p, u) by memory
        grads = []
        for k in reversed(range(K)):
            matched, read = (hops.memories[i] for i in hops.pairs[k])
            grad_z = _own(grad) if k == K - 1 else grad
            grad_z[..., hops.linear_units :].mul_(states[k + 1][..., hops.linear_units :] > 0)
            grad_p = read.match(grad_z)
            grad_scores = _attend_backward(grad_p, weights[k], hops.filled, hops.linear_start)
            band = matched.arrange(grad_scores)
            grad = grad_z.clone() if hops.transition is None else _times(grad_z, hops.transition)
            matched.read(grad, grad_scores, band)
            used[hops.pairs[k][0]].append((grad_scores, band, states[k]))
            used[hops.pairs[k][1]].append((weights[k], arranged[k], grad_z))
            grads.append(grad_z)
        of_tensors: list[Tensor | None] = []
        for memory, uses in zip(hops.memories, used, strict=True):
            of_tensors += memory.gradients(*zip(*uses, strict=True))
        if hops.transition is not None:
            of_tensors.append(_transition_gradient(hops.transition, grads, states[:K][::-1]))
        return None, grad, *of_tensors


def _transition_gradient(transition: Tensor, grads: Sequence[Tensor], states: Sequence[Tensor]) -> Tensor:
    """The sum of grad u^T over the hops and over the rows that share a transition."""
    return _rows(_joined(grads), transition).mT @ _rows(_joined(states), transition)


def _own(grad: Tensor) -> Tensor:
    """A contiguous copy, to be changed in place. Autograd's gradient may have any layout and must not be changed."""
    return grad.clone(memory_format=torch.contiguous_format)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """K tensors (B, L, X) -> (B, K L, X)."""
    return torch.cat(list(parts), dim=1)


def _rows(values: Tensor, weights: Tensor) -> Tensor:
    """Reshape (B, L, X) for a product with the weights: (B L, X) for (X, Y), (R, B L / R, X) for (R, X, Y)."""
    return values.reshape(*weights.shape[:-2], -1, values.shape[-1])


def _times(values: Tensor, weights: Tensor) -> Tensor:
    """The product of `values` (B, L, X) with `weights` (X, Y) or (R, X, Y): (B, L, Y)."""
    return (_rows(values, weights) @ weights).view(*values.shape[:-1], weights.shape[-1])


class SlidingWindows:
    """A memory of the N words before each of L consecutive targets. Slot n of target l is word l + n of the row.

    The windows overlap, so each of the M words of a row is embedded once: `words` is (B, M, D). Slot n also has the
    temporal encoding `times`, (N, D) or (R, N, D), or none. One product scores a state against all M words, and a
    skewed view selects the N words of each target (as in adaptive-span, https://arxiv.org/abs/1905.07799).
    """

    def __init__(self, words: Tensor, times: Tensor | None, slots: int) -> None:
        self.words = words
        self.times = times
        self.slots = slots
        self.tensors: tuple[Tensor, ...] = (words,) if times is None else (words, times)

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N): u . (word + time)."""
        of_words = _skew(torch.bmm(u, self.words.transpose(1, 2)), self.slots)
        return of_words.contiguous() if self.times is None else _times(u, self.times.mT).add_(of_words)

    def arrange(self, p: Tensor) -> Tensor:
        """The weights as a band (B, L, M) over the row's words, with zeros elsewhere. The inverse of `_skew`."""
        band = p.new_zeros(*p.shape[:2], self.words.shape[1])
        _skew(band, self.slots).copy_(p)
        return band

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add the sums of p times (word + time) to `into` (B, L, D)."""
        if self.times is not None:
            states = _rows(into, self.times)
            add = states.addmm_ if states.dim() == 2 else states.baddbmm_
            add(_rows(p, self.times), self.times)
        into.baddbmm_(arranged, self.words)

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the words (B, M, D), and of the times if there are any."""
        states = _joined(us)
        of_words = torch.bmm(_joined(arranged).transpose(1, 2), states)
        if self.times is None:
            return (of_words,)
        return of_words, _rows(_joined(ps), self.times).mT @ _rows(states, self.times)


def windows_filled(filled: Tensor, slots: int) -> Tensor:
    """Which slots of each target hold a word: (B, L, N), from the words that are there (B, M)."""
    return filled.unfold(1, slots, 1)


def _skew(band: Tensor, slots: int) -> Tensor:
    """A view (B, L, N) of a contiguous `band` (B, L, M): element [b, l, n] is band[b, l, l + n]."""
    B, L, M = band.shape
    return band.as_strided((B, L, slots), (L * M, M + 1, 1))


class Stories:
    """A memory of padded stories. The vector of a slot is the sum of G rows of a table.

    All questions of a row share its `table` (B, P, D). With `places` (B, L, G, N), slot n of target l is the sum of
    the table's rows places[:, l, :, n]: a sentence and, with temporal encoding, its time. A sentence that occurs in
    many stories is embedded, scored and summed once. An empty slot may have any places: its weight is 0.
    """

    def __init__(self, table: Tensor, places: Tensor) -> None:
        self.table = table
        self.rows_per_slot, self.slots = places.shape[2:]
        self.places = places.flatten(2)
        self.tensors: tuple[Tensor, ...] = (table,)

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N)."""
        parts = torch.bmm(u, self.table.mT).gather(2, self.places).split(self.slots, dim=2)  # type: ignore[no-untyped-call]
        scores: Tensor = sum(parts[1:], parts[0])
        return scores

    def arrange(self, p: Tensor) -> Tensor:
        """The weights of the table's rows (B, L, P)."""
        weights = p.repeat(1, 1, self.rows_per_slot)
        return p.new_zeros(*p.shape[:2], self.table.shape[1]).scatter_add_(2, self.places, weights)

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add the sums of p times the slots' vectors to `into` (B, L, D)."""
        into.baddbmm_(arranged, self.table)

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The gradient of the table (B, P, D)."""
        return (torch.bmm(_joined(arranged).mT, _joined(us)),)
