"""Word embeddings whose gradients contain only the rows of the words in a step.

R restarts, V words, D units, P ids, U different words among the ids.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from memlm import kernels
from memlm.kernels.rows import sum_words

_CHECKS: Any = torch.sparse.check_sparse_tensor_invariants


if not _CHECKS.is_enabled():
    _CHECKS.disable()  # they are disabled already; an explicit call avoids a warning of PyTorch 2.11


def embed(ids: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
    """Look up the ids (...) in each table (V, D): (..., D) for each table.

    In tables (R, V, D) word v of restart r has the id r V + v.

    On a CPU the gradients of the tables are sparse, and the different words among the ids are found once for all
    tables. On CUDA the gradients are dense: they cost little, and finding the words would make the host wait.
    """
    if not torch.is_grad_enabled():
        return [_look_up(ids, table) for table in tables]
    return list(_Embed.apply(ids, *tables))  # type: ignore[no-untyped-call]


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(ids)
        ctx.sizes = [table.shape for table in tables]
        return tuple(_look_up(ids, table) for table in tables)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        return None, *gradients(ids, grads, ctx.sizes[0])


def gradients(ids: Tensor, grads: Sequence[Tensor], size: torch.Size) -> tuple[Tensor, ...]:
    """Gradients of tables of this size from `grads`, those of the looked-up rows (..., D) at the ids (...)."""
    if ids.is_cuda:
        return _dense(ids, grads, size=size)
    words, sums = _sum_words(ids.flatten(), [grad.flatten(0, -2) for grad in grads], size[:-1].numel())
    indices = torch.stack(torch.unravel_index(words, size[:-1])) if len(size) > 2 else words[None]
    return tuple(
        torch.sparse_coo_tensor(indices, values, size, check_invariants=False, is_coalesced=True) for values in sums
    )


def _sum_words(ids: Tensor, grads: Sequence[Tensor], rows: int) -> tuple[Tensor, list[Tensor]]:
    """The different ids (U,) in rising order, and for each table the gradients (P, D) summed by id: (U, D)."""
    if kernels.fits(*grads):
        return sum_words(ids, grads, rows)
    words, place = ids.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return words, [grad.new_zeros(len(words), grad.shape[-1]).index_add_(0, place, grad) for grad in grads]


def _look_up(ids: Tensor, table: Tensor) -> Tensor:
    return nn.functional.embedding(ids, table.flatten(0, -2))


def _dense(ids: Tensor, grads: Sequence[Tensor], *, size: torch.Size) -> tuple[Tensor, ...]:
    """Dense gradients of tables of this size. The ids are sorted once for all, so the order of the sums is fixed."""
    rows, widths = size[:-1].numel(), [grad.shape[-1] for grad in grads]
    together = torch.ops.aten.embedding_dense_backward(torch.cat(list(grads), dim=-1), ids, rows, -1, False)
    return tuple(part.contiguous().view(size) for part in together.split(widths, dim=-1))
