"""Attention over a memory, repeated for K hops: the core that language modelling and question answering share.

A memory answers two questions: `match(u)`, a score for each slot, and `read(p)`, the weighted sum of its
vectors. Hops, the transition between them, linear start and the non-linearity are written once, over any memory.

B rows, L targets in a row, N memory slots, M = L+N-1 words that the windows of a row cover, K hops, D units.
Rows may be those of R restarts, B / R of each in turn: then weights are (R, ...), and each restart has its own. In
question answering a row is a restart, and its targets are the questions.
Source: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2, 4 and 5.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Memory(Protocol):
    """Slots that can be scored against a state, and read with weights; both are linear in `tensors`.

    Scoring and reading are each other's duals, so that the same three functions serve forwards and backwards.
    """

    tensors: tuple[Tensor, ...]  # what the slots are made of

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N) of the slots for the states u (B, L, D)."""

    def arrange(self, p: Tensor) -> Tensor:
        """Weights p (B, L, N) in the layout in which this memory multiplies them."""

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add to `into` (B, L, D) the slots' vectors, summed with weights p (B, L, N)."""

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of `tensors`: the sum over pairs of weights p (B, L, N) and states u (B, L, D) of p u^T."""


class Hops(NamedTuple):
    """How a state is taken through a memory.

    u <- H u + o with the transition H, (D, D) or (R, D, D), or u + o without one; then a ReLU on the units from
    `linear` on. `pairs` names the memory that is matched and the one that is read in each hop. Slots that are not
    `filled` (B, L, N) have no weight. With a `null` slot, one more that holds zeros takes its share of the softmax: a
    hop can look at nothing. Rows that are `straight` (B, 1, 1) go without the softmax (linear start).
    """

    memories: Sequence[Memory]
    pairs: Sequence[tuple[int, int]]
    transition: Tensor | None
    linear: int
    filled: Tensor | None
    null: bool = False
    straight: Tensor | None = None

    def __call__(self, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The state (B, L, D) after the hops, and each hop's attention (B, L, N), which is not differentiable."""
        tensors = [tensor for memory in self.memories for tensor in memory.tensors]
        if self.transition is not None:
            tensors.append(self.transition)
        state, *attention = _HopStack.apply(self, u, *tensors)  # type: ignore[no-untyped-call]
        return state, tuple(attention)


def attend(scores: Tensor, filled: Tensor | None, *, null: bool = False, straight: Tensor | None = None) -> Tensor:
    """Softmax over the slots (last dimension), or the scores themselves where `straight`.

    A slot that is not `filled` has weight 0. Where no slot is filled, all weights are 0, so that the memory reads as
    nothing. With a `null` slot the softmax goes over one slot more, of score 0, whose weight is left out.
    """
    if straight is not None:
        plain = scores.clone() if filled is None else scores.masked_fill(~filled, 0)
        return torch.where(straight, plain, attend(scores, filled, null=null))
    if null:
        if filled is not None:
            scores.masked_fill_(~filled, -torch.inf)
        return torch.softmax(torch.cat([scores, torch.zeros_like(scores[..., :1])], dim=-1), dim=-1)[
            ..., :-1
        ].contiguous()
    if filled is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min / 2  # finite: a row without a filled slot must not become NaN
    return torch.softmax(scores.masked_fill_(~filled, lowest), dim=-1).mul_(filled)


def _attend_backward(grad: Tensor, weights: Tensor, filled: Tensor | None, straight: Tensor | None) -> Tensor:
    """The gradient of the scores from that of the weights, which need not sum to 1."""
    of_softmax = torch._softmax_backward_data(grad, weights, -1, grad.dtype)
    if straight is None:
        return of_softmax
    return torch.where(straight, grad if filled is None else grad * filled, of_softmax)


class _HopStack(torch.autograd.Function):
    """All hops at once, so that the gradients of a memory that many hops use are one product each."""

    @staticmethod
    def forward(ctx: Any, hops: Hops, u: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        states, weights, arranged = [u], [], []
        for matched, read in hops.pairs:
            p = attend(hops.memories[matched].match(u), hops.filled, null=hops.null, straight=hops.straight)
            z = u.clone() if hops.transition is None else _times(u, hops.transition.mT)
            band = hops.memories[read].arrange(p)
            hops.memories[read].read(z, p, band)
            z[..., hops.linear :].relu_()
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
        used: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in hops.memories]  # (p, arranged p, u) of a memory
        grads = []
        for k in reversed(range(K)):
            matched, read = (hops.memories[i] for i in hops.pairs[k])
            grad_z = _own(grad) if k == K - 1 else grad
            grad_z[..., hops.linear :].mul_(states[k + 1][..., hops.linear :] > 0)
            grad_p = read.match(grad_z)
            grad_scores = _attend_backward(grad_p, weights[k], hops.filled, hops.straight)
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
    """The sum of grad u^T over the hops and the rows that share a transition."""
    return _rows(_joined(grads), transition).mT @ _rows(_joined(states), transition)


def _own(grad: Tensor) -> Tensor:
    """A contiguous copy: autograd's own gradient must stay as it is, and may lie in any way."""
    return grad.clone(memory_format=torch.contiguous_format)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """(B, L, X), ... -> (B, K L, X)."""
    return torch.cat(list(parts), dim=1)


def _rows(values: Tensor, weights: Tensor) -> Tensor:
    """(B, L, X) as the rows that the weights multiply: (B L, X) for (X, Y), or (R, B L / R, X) for (R, X, Y)."""
    return values.reshape(*weights.shape[:-2], -1, values.shape[-1])


def _times(values: Tensor, weights: Tensor) -> Tensor:
    """The product of (B, L, X) with (X, Y) or (R, X, Y): (B, L, Y)."""
    return (_rows(values, weights) @ weights).view(*values.shape[:-1], weights.shape[-1])


class SlidingWindows:
    """The N words before each of L consecutive targets, as a memory: slot n of target l is word l + n.

    The windows overlap, so each of the row's M words is embedded once: `words` is (B, M, D). Slot n also has
    the temporal encoding `times` (N, D) or (R, N, D), or none. States are scored against all M words by one product,
    and a skewed view keeps each target's N (the trick of adaptive-span, https://arxiv.org/abs/1905.07799).
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
        """The weights as a band (B, L, M) over the row's words, zero elsewhere: inverse of `_skew`."""
        band = p.new_zeros(*p.shape[:2], self.words.shape[1])
        _skew(band, self.slots).copy_(p)
        return band

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add to `into` (B, L, D) the sums of p times (word + time)."""
        if self.times is not None:
            states = _rows(into, self.times)
            add = states.addmm_ if states.dim() == 2 else states.baddbmm_
            add(_rows(p, self.times), self.times)
        into.baddbmm_(arranged, self.words)

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the words and of the times."""
        states = _joined(us)
        of_words = torch.bmm(_joined(arranged).transpose(1, 2), states)
        if self.times is None:
            return (of_words,)
        return of_words, _rows(_joined(ps), self.times).mT @ _rows(states, self.times)


def windows_filled(filled: Tensor, slots: int) -> Tensor:
    """(B, L, N) from (B, M): which slots of each target hold a word."""
    return filled.unfold(1, slots, 1)


def _skew(band: Tensor, slots: int) -> Tensor:
    """View (B, L, N) of a contiguous (B, L, M): element [b, l, n] is band[b, l, l + n]."""
    B, L, M = band.shape
    return band.as_strided((B, L, slots), (L * M, M + 1, 1))


class Stories:
    """Padded stories as a memory: a slot's vector is the sum of G rows of a table that all questions of a row share.

    With `table` (B, P, D) and `places` (B, L, G, N), slot n of target l is the sum of rows places[:, l, :, n]: a
    sentence and, with temporal encoding, its time. A sentence that many stories tell is embedded, scored and summed
    once. The places of an empty slot can be any: it has no weight.
    """

    def __init__(self, table: Tensor, places: Tensor) -> None:
        self.table = table
        self.rows, self.each = places.shape[2:]
        self.places = places.flatten(2)
        self.tensors: tuple[Tensor, ...] = (table,)

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N)."""
        parts = torch.bmm(u, self.table.mT).gather(2, self.places).split(self.each, dim=2)  # type: ignore[no-untyped-call]
        scores: Tensor = sum(parts[1:], parts[0])
        return scores

    def arrange(self, p: Tensor) -> Tensor:
        """The weights of the table's rows, (B, L, P)."""
        weights = p.repeat(1, 1, self.rows)
        return p.new_zeros(*p.shape[:2], self.table.shape[1]).scatter_add_(2, self.places, weights)

    def read(self, into: Tensor, p: Tensor, arranged: Tensor) -> None:
        """Add to `into` (B, L, D) the sums of p times the slots' vectors."""
        into.baddbmm_(arranged, self.table)

    def gradients(self, ps: Sequence[Tensor], arranged: Sequence[Tensor], us: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The gradient of the table."""
        return (torch.bmm(_joined(arranged).mT, _joined(us)),)
