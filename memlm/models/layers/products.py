"""Fast matrix products.

On a CPU, oneDNN multiplies float32 matrices of these shapes up to twice as fast as the BLAS behind torch.mm
(RESULTS.md). PyTorch offers this as one operator on plain tensors, which has no gradient. If the operator is missing,
torch.mm is used.

R rows, X inner dimension, C columns.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _find_onednn() -> Callable[..., Any] | None:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    operator: Callable[..., Any] | None = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return operator


_ONEDNN = _find_onednn()


def product(a: Tensor, b: Tensor) -> Tensor:
    """(..., R, X) @ (..., X, C) -> (..., R, C). It has no gradient: use it outside of autograd."""
    if _ONEDNN is not None and a.dtype == torch.float32 and a.dim() == 2 and not a.is_cuda:
        result: Tensor = _ONEDNN(a, b.t(), None, "none", [], "")
        return result
    return a @ b


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """h W^T + b: (R, X), (C, X), (C,) -> (R, C). Differentiable if gradients are enabled."""
    if torch.is_grad_enabled():
        return torch.nn.functional.linear(rows, weight, bias)
    found = product(rows, weight.mT)
    return found if bias is None else found.add_(bias)
