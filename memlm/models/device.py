"""Chooses the device and the precision that a model computes with."""

import platform

import torch

from memlm.config.settings import DEVICES
from memlm.errors import MemlmError, unknown_name


def choose_device(name: str) -> torch.device:
    """The device for the setting `auto`, `cpu` or `cuda`; `auto` is CUDA if it is available.

    Raises MemlmError for another name, and for `cuda` if PyTorch sees no CUDA device.
    """
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise MemlmError("device is 'cuda', but PyTorch sees no CUDA device here: use --device cpu")
    torch.backends.cudnn.allow_tf32 = False  # the LSTM's kernels must compute in float32, not in TF32
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the output layer's products in training, for the setting `auto`, `float32` or `bfloat16`.

    `auto` is bfloat16 on a GPU that supports it and on a CPU with AMX. On a CPU with only AVX512-BF16 it is float32:
    there bfloat16 makes a step 10 % faster, but the model learns a little less per epoch (RESULTS.md).
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
    """Whether the device is an x86 CPU without bfloat16 instructions. Such products then take many times longer."""
    if precision != torch.bfloat16 or device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    found = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    return not any(has is None or has() for has in found)
