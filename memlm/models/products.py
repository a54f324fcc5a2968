"""Matrix products at the full rate of the machine, and the precision they run at.

On a CPU, oneDNN multiplies float32 matrices of these shapes up to twice as fast as the BLAS behind torch.mm
(RESULTS.md). PyTorch offers it for plain tensors as one operator, without a gradient of its own; where that operator
is missing, torch.mm does the work.
"""

import platform
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
    """(..., R, X) @ (..., X, C) -> (..., R, C), outside of autograd."""
    if _ONEDNN is not None and a.dtype == torch.float32 and a.dim() == 2 and not a.is_cuda:
        result: Tensor = _ONEDNN(a, b.t(), None, "none", [], "")
        return result
    return a @ b


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """h W^T + b: (R, X), (C, X), (C,) -> (R, C); differentiable where gradients are enabled."""
    if torch.is_grad_enabled():
        return torch.nn.functional.linear(rows, weight, bias)
    found = product(rows, weight.mT)
    return found if bias is None else found.add_(bias)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the output layer's products in training.

    `auto` is bfloat16 on CUDA and on a CPU with AMX. On one with AVX512-BF16 alone it is float32: there bfloat16 makes
    a step a tenth faster, and learns a little less an epoch (RESULTS.md).
    """
    if name == "auto":
        return torch.bfloat16 if _is_much_faster_in_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _is_much_faster_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return has_amx is not None and bool(has_amx())


def is_emulated(precision: torch.dtype, device: torch.device) -> bool:
    """Whether an x86 CPU has no instructions for such products, which then take many times longer."""
    if precision != torch.bfloat16 or device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    found = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    return not any(has is None or has() for has in found)
