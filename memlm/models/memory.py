"""Attention over a memory, repeated for K hops: the core that language modelling and question answering share.

A memory answers two questions: `match(u)`, a score for each slot, and `read(p)`, the weighted sum of its
vectors. Hops, the transition between them and the non-linearity are written once, over any memory.

B rows, L targets in a row, N memory slots, M = L+N-1 words that the windows of a row cover, K hops, D units.
Source: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2 and 5.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Memory(Protocol):
    """Slots that can be scored against a state, and read with weights."""

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N) of the slots for the states u (B, L, D)."""

    def read(self, p: Tensor) -> Tensor:
        """Sums (B, L, D) of the slots' vectors with weights p (B, L, N)."""


def attend(scores: Tensor, filled: Tensor | None) -> Tensor:
    """Softmax over the slots (last dimension); a slot that is not `filled` has weight 0.

    Where no slot is filled, all weights are 0, so that the memory reads as nothing.
    """
    if filled is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min / 2  # finite: a row without a filled slot must not become NaN
    return torch.softmax(scores.masked_fill(~filled, lowest), dim=-1) * filled


def hop(
    u: Tensor,
    memories: Iterable[tuple[Memory, Memory]],
    *,
    filled: Tensor | None,
    transition: Tensor | None,
    linear: int,
) -> tuple[Tensor, list[Tensor]]:
    """Take the state u (B, L, D) through one hop for each (input memory, output memory).

    u <- H u + o with the transition H (D, D), or u + o without one; then a ReLU on the units from `linear` on.
    Returns the state and each hop's attention (B, L, N).
    """
    weights = []
    for inputs, outputs in memories:
        p = attend(inputs.match(u), filled)
        carried = u if transition is None else u @ transition.t()
        z = carried + outputs.read(p)
        u = torch.cat([z[..., :linear], z[..., linear:].relu()], dim=-1)
        weights.append(p)
    return u, weights


class SlidingWindows:
    """The N words before each of L consecutive targets, as a memory: slot n of target l is word l + n.

    The windows overlap, so each of the row's M words is embedded once: `words` is (B, M, D). Slot n also has
    the temporal encoding `times` (N, D), or none. States are scored against all M words by one product, and a
    skewed view keeps each target's N (the trick of adaptive-span, https://arxiv.org/abs/1905.07799).
    """

    def __init__(self, words: Tensor, times: Tensor | None, slots: int) -> None:
        self.words = words
        self.times = words.new_zeros(slots, words.shape[-1]) if times is None else times

    def match(self, u: Tensor) -> Tensor:
        """Scores (B, L, N): u . (word + time)."""
        scores: Tensor = _Match.apply(u, self.words, self.times)  # type: ignore[no-untyped-call]
        return scores

    def read(self, p: Tensor) -> Tensor:
        """Sums (B, L, D) of p times (word + time)."""
        sums: Tensor = _Read.apply(p, self.words, self.times)  # type: ignore[no-untyped-call]
        return sums


def windows_filled(filled: Tensor, slots: int) -> Tensor:
    """(B, L, N) from (B, M): which slots of each target hold a word."""
    return filled.unfold(1, slots, 1)


def _skew(band: Tensor, slots: int) -> Tensor:
    """View (B, L, N) of a contiguous (B, L, M): element [b, l, n] is band[b, l, l + n]."""
    B, L, M = band.shape
    return band.as_strided((B, L, slots), (L * M, M + 1, 1))


def _unskew(p: Tensor, words: int) -> Tensor:
    """(B, L, M), zero but for its band, which is p (B, L, N): inverse of `_skew`."""
    B, L, N = p.shape
    band = p.new_zeros(B, L, words)
    _skew(band, N).copy_(p)
    return band


def _scores(u: Tensor, words: Tensor, times: Tensor) -> Tensor:
    """u . (word + time) for each slot: (B, L, D), (B, M, D), (N, D) -> (B, L, N)."""
    return torch.matmul(u, times.t()).add_(_skew(torch.bmm(u, words.transpose(1, 2)), len(times)))


def _sums(p: Tensor, band: Tensor, words: Tensor, times: Tensor) -> Tensor:
    """Sum over the slots of p (word + time), with band = _unskew(p): -> (B, L, D)."""
    return torch.matmul(p, times).baddbmm_(band, words)


class _Match(torch.autograd.Function):
    """`_scores`, whose gradient with respect to the state is `_sums`: scoring and reading are each other's duals."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, words: Tensor, times: Tensor) -> Tensor:
        ctx.save_for_backward(u, words, times)
        return _scores(u, words, times)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, words, times = ctx.saved_tensors
        band = _unskew(grad, words.shape[1])
        return (
            _sums(grad, band, words, times),
            torch.bmm(band.transpose(1, 2), u),
            grad.flatten(0, 1).t() @ u.flatten(0, 1),
        )


class _Read(torch.autograd.Function):
    """`_sums`, whose gradient with respect to the weights is `_scores`."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, words: Tensor, times: Tensor) -> Tensor:
        band = _unskew(p, words.shape[1])
        ctx.save_for_backward(p, band, words, times)
        return _sums(p, band, words, times)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p, band, words, times = ctx.saved_tensors
        return (
            _scores(grad, words, times),
            torch.bmm(band.transpose(1, 2), grad),
            p.flatten(0, 1).t() @ grad.flatten(0, 1),
        )
