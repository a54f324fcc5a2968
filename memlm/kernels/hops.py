"""Hops over sliding windows, and their gradients.

B rows, L targets per row, N memory slots, M = L+N-1 words in the windows of a row, K hops, D units, V words in a
table, R restarts.
The kernels need rows that are padded to whole vectors. The values in the padding affect no result.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from memlm import kernels


class WindowHops(NamedTuple):
    """The hops of memlm.models.layers.memory.Hops over windows of `slots` words.

    `ids` (B, M) are the words of each row, as rows of the tables (V, D), or (R, V, D) numbered as (R V, D). A table
    and its times, (N, D) or (R, N, D) or none, form a memory. For each hop, `pairs` has the memory that it matches and
    the one that it reads. Words that are not `filled` (B, M) get no weight.
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
        """All tensors with a gradient, except the first state."""
        return [*self.tables, *self.times, *([] if self.transition is None else [self.transition])]

    @property
    def same_memories(self) -> int:
        """How many hops share their memories: K or 1."""
        return len(self.pairs) if len(set(self.pairs)) == 1 else 1


class Gradients(NamedTuple):
    """Gradients of the first state (B, L, D) if wanted, of the words in each table (B, M, D), and of other weights."""

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
        assert {table for pair in hops.pairs for table in pair} == set(
            range(len(hops.tables))
        )  # each table gets a gradient
        self.hops = hops = hops._replace(ids=kernels.indices(hops.ids, hops.tables[0].shape[:-1].numel()))
        self.states = u.new_empty(B, L, K, _padded(D))
        self.states[:, :, 0] = _pad(u)
        self.weights = u.new_empty(B, L, K, _band_size(hops.ids.shape[1]))
        self._last = u.new_empty(B, L, _padded(D))
        self._job = _job(hops, *u.shape)
        self._job.set(states=self.states, last=self._last, weights=self.weights)
        kernels.call("memlm_hops_forward", self._job)

    def results(self) -> tuple[Tensor, Tensor]:
        """The last state (B, L, D), and the attention (B, L, K, N) of each hop."""
        return self._last[..., : self._job.units], self._slots(self.weights)

    def _slots(self, bands: Tensor) -> Tensor:
        """The slots (B, L, K, N) of bands (B, L, K, M): those of target l begin with word l."""
        B, L, K, M = bands.shape
        return bands.as_strided((B, L, K, self._job.slots), (L * K * M, K * M + 1, M, 1))

    def backward(self, grad: Tensor, *, wants_first: bool) -> Gradients:
        """The backward pass, from the gradient `grad` (B, L, D) of the last state."""
        grad_state = _pad(grad)
        grad_sums, grad_scores = torch.empty_like(self.states), torch.empty_like(self.weights)
        grad_words = [grad.new_empty(*self.hops.ids.shape, grad.shape[-1]) for _ in self.hops.tables]
        job = _Job.from_buffer_copy(self._job)  # so that the tensors set here are freed after the call
        job.set(
            grad_state=grad_state,
            grad_sums=grad_sums,
            grad_scores=grad_scores,
            grad_words=grad_words,
            wants_first=wants_first,
        )
        kernels.call("memlm_hops_backward", job)
        transition = self.hops.transition
        return Gradients(
            grad_state[..., : grad.shape[-1]] if wants_first else None,
            grad_words,
            self._grad_times(grad_scores, grad_sums)
            + ([] if transition is None else [_outer(grad_sums, self.states, transition)]),
        )

    def _grad_times(self, grad_scores: Tensor, grad_sums: Tensor) -> list[Tensor]:
        """Gradients of the times of each table: sums of p u^T over the hops that match it and those that read it."""
        found = [torch.zeros_like(times) for times in self.hops.times]
        run, scored, read = self.hops.same_memories, self._slots(grad_scores), self._slots(self.weights)
        for k in range(0, len(self.hops.pairs) if found else 0, run):
            hops = slice(k, k + run)
            for i, p, u in zip(self.hops.pairs[k], (scored, read), (self.states, grad_sums), strict=True):
                found[i] += _outer(p[:, :, hops], u[:, :, hops], found[i])
        return found


class _Job(kernels.Job):
    """`struct hops` of kernels.c, which documents the fields."""

    _fields_ = (
        *kernels.numbers("rows", "targets", "slots", "units", "hops", "tables", "words_in_row"),
        *kernels.numbers("pad_D", "pad_N", "pad_M", "linear", "same_memories", "rows_per_restart", "wants_first"),
        *kernels.pointers(
            "matched", "read", "ids", "embeddings", "times", "times_transposed", "transition", "transition_transposed"
        ),
        *kernels.pointers(
            "filled", "states", "last", "weights", "grad_state", "grad_sums", "grad_scores", "grad_words"
        ),
    )


def _job(hops: WindowHops, rows: int, targets: int, units: int) -> _Job:
    words, times, transition = targets + hops.slots - 1, hops.times, hops.transition
    restarts = [len(matrix) for matrix in (*times, transition) if matrix is not None and matrix.dim() == 3]
    job = _Job()
    job.set(rows=rows, targets=targets, slots=hops.slots, units=units, hops=len(hops.pairs), words_in_row=words)
    job.set(pad_D=_padded(units), pad_N=_padded(hops.slots), pad_M=_band_size(words))
    job.set(
        linear=hops.linear_units,
        same_memories=hops.same_memories,
        rows_per_restart=rows // restarts[0] if restarts else rows,
    )
    job.set(matched=[matched for matched, _ in hops.pairs], read=[read for _, read in hops.pairs])
    job.set(ids=hops.ids, tables=len(hops.tables), embeddings=hops.tables)
    if hops.filled is not None:
        job.set(filled=hops.filled.to("cpu").contiguous())
    if times:
        job.set(times=[_pad(matrix) for matrix in times], times_transposed=[_pad(matrix.mT) for matrix in times])
    if transition is not None:
        job.set(transition=_pad(transition), transition_transposed=_pad(transition.mT))
    return job


def _outer(p: Tensor, u: Tensor, matrix: Tensor) -> Tensor:
    """The sum of p u^T over the targets and hops (B, L, K, ...) that share a matrix (X, Y) or (R, X, Y)."""
    *restarts, X, Y = matrix.shape
    return p.reshape(*restarts, -1, p.shape[-1])[..., :X].mT @ u.reshape(*restarts, -1, u.shape[-1])[..., :Y]


def _padded(size: int) -> int:
    return -(-size // kernels.PADDING) * kernels.PADDING


def _band_size(words: int) -> int:
    """Floats per band: enough for M words, and for a whole vector from any word on."""
    return _padded(words) + kernels.PADDING


def _pad(values: Tensor) -> Tensor:
    """(..., X), padded with zeros."""
    found = values.new_zeros(*values.shape[:-1], _padded(values.shape[-1]))
    found[..., : values.shape[-1]] = values
    return found
