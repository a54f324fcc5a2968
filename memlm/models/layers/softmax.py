"""softmax(W h + b), its loss and its gradients, as functions of the weights.

R targets (rows), D units, K classes. Outside of autograd and without a bias, every tensor may have one more dimension
in front: several softmaxes are then computed together.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from memlm import kernels
from memlm.kernels.softmax import losses
from memlm.models.layers.products import linear, product

BLOCK = 256  # rows at a time on a CPU: their logits stay in the cache, and blocks reuse the same memory
CUDA_BLOCK = 4096  # rows at a time on CUDA: there the number of calls matters


class Gradients(NamedTuple):
    """-log p of the targets (R,), and the gradients of its sum: rows (R, D), weight (K, D), bias (K,) or None."""

    nats: Tensor
    rows: Tensor
    weight: Tensor
    bias: Tensor | None


def log_probabilities(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(R, D), (K, D), (K,) -> (R, K), natural logarithms."""
    return torch.log_softmax(linear(rows, weight, bias), dim=-1)


def nats(rows: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """-log p of each target: (R, D), (R,), (K, D), (K,) -> (R,); differentiable."""
    if torch.is_grad_enabled():
        return torch.nn.functional.cross_entropy(linear(rows, weight, bias), targets, reduction="none")
    at_once = _cuda_block(rows) if rows.is_cuda else BLOCK
    blocks = zip(torch.split(rows, at_once, dim=-2), torch.split(targets, at_once, dim=-1), strict=True)
    return torch.cat([_losses(linear(block, weight, bias), of, gradient=False) for block, of in blocks], dim=-1)


@torch.no_grad()
def gradients(rows: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None, precision: torch.dtype) -> Gradients:
    """Loss and gradients in one pass, without a second copy of the logits (R, K).

    `precision` is the type of the products of float32 matrices; products in bfloat16 accumulate in float32. The
    gradient of the weight has the memory layout of the weight.
    """
    low = precision == torch.bfloat16 and rows.dtype == torch.float32
    multiplied = weight.bfloat16() if low else weight
    of_nats, of_rows = rows.new_empty(targets.shape, dtype=_wide(rows)), torch.empty_like(rows)
    of_weight = weight.new_empty(0)
    of_bias = None if bias is None else torch.zeros_like(bias)
    at_once = _rows_at_once(rows)
    for at in range(0, rows.shape[-2], at_once):
        here = slice(at, at + at_once)
        block = rows[..., here, :].bfloat16() if low else rows[..., here, :]
        grad, of_nats[..., here] = _logit_gradient(block, targets[..., here], multiplied, bias)
        of_rows[..., here, :] = product(grad, multiplied)
        part = _weight_gradient(grad, block, multiplied).to(weight.dtype)
        of_weight = of_weight.add_(part) if at else part
        if of_bias is not None:
            of_bias += grad.sum(dim=0, dtype=of_bias.dtype)
    return Gradients(of_nats, of_rows, of_weight, of_bias)


def _rows_at_once(rows: Tensor) -> int:
    """Number of rows per block, for blocks of equal size.

    On a CPU, the logits of a block take no more memory than the gradient of the weight. The gradient of the weight is
    added up block by block. With many units that costs more than small blocks gain in the cache.
    """
    most = _cuda_block(rows) if rows.is_cuda else max(BLOCK, rows.shape[-1])
    blocks = -(-rows.shape[-2] // most)
    return -(-rows.shape[-2] // blocks)


def _cuda_block(rows: Tensor) -> int:
    """Number of rows per block on CUDA: CUDA_BLOCK in all softmaxes that are computed together."""
    return max(1, CUDA_BLOCK // rows.shape[:-2].numel())


def _logit_gradient(rows: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradient of the logits, softmax - onehot(target), (R, K), and the nats (R,)."""
    found = product(rows, weight.mT)
    if bias is not None:
        found.add_(bias)
    return found, _losses(found, targets, gradient=True)


def _weight_gradient(grad: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """g^T h (K, D), with the memory layout of the weight."""
    if weight.stride(-2) == 1:
        return product(rows.mT, grad).mT
    return product(grad.mT, rows)


def _losses(logits: Tensor, targets: Tensor, *, gradient: bool) -> Tensor:
    """-log p of the targets (R,). Overwrites the logits (R, K): with their gradient if `gradient` is true."""
    if kernels.fits(logits, types=(torch.float32, torch.bfloat16)):
        return losses(logits, targets, gradient=gradient)
    return _losses_by_pytorch(logits, targets, gradient=gradient)


def _losses_by_pytorch(logits: Tensor, targets: Tensor, *, gradient: bool) -> Tensor:
    """`_losses` without compiled kernels.

    log(sum(exp)) is computed from the largest probability, which saves a second pass of exponentials.
    """
    wide, places = _wide(logits), targets.unsqueeze(-1)
    highest = logits.amax(dim=-1).to(wide)
    of_target = logits.gather(-1, places).squeeze(-1).to(wide)
    probabilities = torch.softmax(logits, dim=-1, out=logits)
    nats = highest - probabilities.amax(dim=-1).to(wide).log() - of_target
    if gradient:
        probabilities.scatter_add_(-1, places, probabilities.new_full(places.shape, -1))
    return nats


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)
