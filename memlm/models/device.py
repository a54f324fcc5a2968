"""Which device computes, and in which precision."""

import platform

import torch

from memlm.config.settings import DEVICES
from memlm.errors import MemlmError, unknown_name


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` names."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise MemlmError("device is 'cuda', but PyTorch sees no CUDA device here: use --device cpu")
    torch.backends.cudnn.allow_tf32 = False  # of the LSTM's kernels: float32 is to be float32
    return torch.device("cuda" if available and name != "cpu" else "cpu")


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
