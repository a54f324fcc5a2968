"""Hops over sliding windows, and their gradients.

B rows, L targets in a row, N memory slots, M = L+N-1 words that the windows of a row cover, K hops, D units, and
R restarts.
The kernels want rows that are padded to whole vectors; what is in the padding is part of no result.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from memlm import kernels


class WindowHops(NamedTuple):
    """How a state is taken through windows of `slots` words, as memlm.models.layers.memory.Hops has it.

    The words of a row are rows `ids` (B, M) of the tables, (V, D) or (R, V, D) that are numbered as (R V, D). Each
    table, with its times, (N, D) or (R, N, D), or none, is a memory; `pairs` names the one that is matched and the one
    that is read in each hop. Words that are not `filled` (B, M) have no weight.
    """

    ids: Tensor
    tables: Sequence[Tensor]
    times: Sequence[Tensor]
    slots: int
    pairs: Sequence[tuple[int, int]]
    transition: Tensor | None
    linear_units: int
    filled: Tensor | None

    @property
    def weights(self) -> list[Tensor]:
        """All that has a gradient, but for the first state."""
        return [*self.tables, *self.times, *([] if self.transition is None else [self.transition])]

    @property
    def alike(self) -> int:
        """How many hops have their memories in common: all of them, or each has its own."""
        return len(self.pairs) if len(set(self.pairs)) == 1 else 1


class Gradients(NamedTuple):
    """Gradients of the first state (B, L, D), if wanted, of words in each table (B, M, D), and of other weights."""

    u: Tensor | None
    words: list[Tensor]
    others: list[Tensor]


class HopsForward:
    """The forward pass through the hops: the states (B, L, D), and all that the backward pass needs.

    Raises MemoryError, and IndexError for a word that no table has.
    """

    def __init__(self, hops: WindowHops, u: Tensor) -> None:
        (B, L, D), K = u.shape, len(hops.pairs)
        assert hops.ids.shape == (B, L + hops.slots - 1)
        assert {table for pair in hops.pairs for table in pair} == set(range(len(hops.tables)))  # each has a gradient
        self.hops = hops = hops._replace(ids=kernels.indices(hops.ids, hops.tables[0].shape[:-1].numel()))
        self.states = u.new_empty(B, L, K, _padded(D))
        self.states[:, :, 0] = _pad(u)
        self.weights = u.new_empty(B, L, K, _bands(hops.ids.shape[1]))
        self._last = u.new_empty(B, L, _padded(D))
        self._job = _job(hops, *u.shape)
        self._job.set(states=self.states, last=self._last, weights=self.weights)
        kernels.call("memlm_hops_forward", self._job)

    def results(self) -> tuple[Tensor, Tensor]:
        """The last state (B, L, D), and the attention (B, L, K, N) of each hop."""
        return self._last[..., : self._job.units], self._slots(self.weights)

    def _slots(self, bands: Tensor) -> Tensor:
        """(B, L, K, N), the slots of each target, of bands (B, L, K, M): target l's begin with word l."""
        B, L, K, M = bands.shape
        return bands.as_strided((B, L, K, self._job.slots), (L * K * M, K * M + 1, M, 1))

    def backward(self, grad: Tensor, *, wants_first: bool) -> Gradients:
        """Gradients of what has the gradient `grad` (B, L, D) with respect to the last state."""
        gradient = _pad(grad)
        of_sums, of_scores = torch.empty_like(self.states), torch.empty_like(self.weights)
        of_words = [grad.new_empty(*self.hops.ids.shape, grad.shape[-1]) for _ in self.hops.tables]
        job = _Job.from_buffer_copy(self._job)  # what it is given more need not be kept as long
        job.set(gradient=gradient, of_sums=of_sums, of_scores=of_scores, of_words=of_words, wants_first=wants_first)
        kernels.call("memlm_hops_backward", job)
        transition = self.hops.transition
        return Gradients(
            gradient[..., : grad.shape[-1]] if wants_first else None,
            of_words,
            self._of_times(of_scores, of_sums)
            + ([] if transition is None else [_outer(of_sums, self.states, transition)]),
        )

    def _of_times(self, of_scores: Tensor, of_sums: Tensor) -> list[Tensor]:
        """The sums of p u^T over the hops that match a table, and over those that read it."""
        found = [torch.zeros_like(times) for times in self.hops.times]
        run, scored, read = self.hops.alike, self._slots(of_scores), self._slots(self.weights)
        for k in range(0, len(self.hops.pairs) if found else 0, run):
            hops = slice(k, k + run)
            for i, p, u in zip(self.hops.pairs[k], (scored, read), (self.states, of_sums), strict=True):
                found[i] += _outer(p[:, :, hops], u[:, :, hops], found[i])
        return found


class _Job(kernels.Job):
    """`struct hops` of kernels.c, which says what each is."""

    _fields_ = (
        *kernels.numbers("rows", "targets", "slots", "units", "hops", "tables", "words_in_row"),
        *kernels.numbers("wide", "slots_wide", "words_wide", "linear", "alike", "rows_of_restart", "wants_first"),
        *kernels.pointers(
            "matched", "read", "ids", "embeddings", "times", "times_across", "transition", "transition_across"
        ),
        *kernels.pointers("filled", "states", "last", "weights", "gradient", "of_sums", "of_scores", "of_words"),
    )


def _job(hops: WindowHops, rows: int, targets: int, units: int) -> _Job:
    words, times, transition = targets + hops.slots - 1, hops.times, hops.transition
    restarts = [len(matrix) for matrix in (*times, transition) if matrix is not None and matrix.dim() == 3]
    job = _Job()
    job.set(rows=rows, targets=targets, slots=hops.slots, units=units, hops=len(hops.pairs), words_in_row=words)
    job.set(wide=_padded(units), slots_wide=_padded(hops.slots), words_wide=_bands(words))
    job.set(linear=hops.linear_units, alike=hops.alike, rows_of_restart=rows // restarts[0] if restarts else rows)
    job.set(matched=[matched for matched, _ in hops.pairs], read=[read for _, read in hops.pairs])
    job.set(ids=hops.ids, tables=len(hops.tables), embeddings=hops.tables)
    if hops.filled is not None:
        job.set(filled=hops.filled.to("cpu").contiguous())
    if times:
        job.set(times=[_pad(matrix) for matrix in times], times_across=[_pad(matrix.mT) for matrix in times])
    if transition is not None:
        job.set(transition=_pad(transition), transition_across=_pad(transition.mT))
    return job


def _outer(p: Tensor, u: Tensor, matrix: Tensor) -> Tensor:
    """The sum of p u^T over the targets and hops (B, L, K, ...) that share a matrix (X, Y) or (R, X, Y)."""
    *restarts, X, Y = matrix.shape
    return p.reshape(*restarts, -1, p.shape[-1])[..., :X].mT @ u.reshape(*restarts, -1, u.shape[-1])[..., :Y]


def _padded(size: int) -> int:
    return -(-size // kernels.PADDING) * kernels.PADDING


def _bands(words: int) -> int:
    """Floats for M words, and for whole vectors from any of them on."""
    return _padded(words) + kernels.PADDING


def _pad(values: Tensor) -> Tensor:
    """(..., X), followed by zeros."""
    found = values.new_zeros(*values.shape[:-1], _padded(values.shape[-1]))
    found[..., : values.shape[-1]] = values
    return found
