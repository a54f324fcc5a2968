"""The kernels of kernels.c, where an installation has compiled them; without them PyTorch computes the same, slower.

They run on the threads of PyTorch's own OpenMP. Where that can't be reached, and there are threads to use, they are
not used.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

FLOATS = 16  # of a vector, at most
PADDING = 16  # floats: rows are padded to a multiple of the longest vector


class Job(ctypes.Structure):
    """A struct of kernels.c that says what to compute. It holds on to what it points to."""

    def set(self, **fields: int | Tensor | Sequence[Tensor] | Sequence[int] | None) -> None:
        """Set fields: numbers, pointers to a tensor's values, or arrays of such pointers or of numbers."""
        for name, value in fields.items():
            setattr(self, name, value if isinstance(value, int) else self._pointer(value))

    def _pointer(self, value: Tensor | Sequence[Tensor] | Sequence[int] | None) -> int | None:
        if value is None:
            return None
        self._held = [*getattr(self, "_held", []), value]
        if isinstance(value, Tensor):
            return value.data_ptr()
        items = [item.data_ptr() if isinstance(item, Tensor) else item for item in value]
        array = (ctypes.c_size_t * len(items))(*items)
        self._held.append(array)
        return ctypes.addressof(array)


class _Machine(ctypes.Structure):
    _fields_ = [("parallel", ctypes.c_void_p), ("threads", ctypes.c_long), ("floats", ctypes.c_long)]


def fits(*tensors: Tensor | None, types: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether there are kernels here, and for these tensors: of these types, on a CPU, contiguous."""
    return all(
        tensor is None or (tensor.dtype in types and tensor.device.type == "cpu" and tensor.is_contiguous())
        for tensor in tensors
    ) and (_library() is not None and (_parallel() is not None or torch.get_num_threads() == 1))


def call(name: str, job: Job) -> None:
    """Run a kernel on PyTorch's threads. Raises MemoryError."""
    machine = _Machine(_parallel(), torch.get_num_threads(), FLOATS)
    if getattr(_library(), name)(ctypes.byref(machine), ctypes.byref(job)):
        raise MemoryError("no memory for the kernels' working space")


def numbers(*names: str) -> list[tuple[str, type[ctypes.c_long]]]:
    """Fields of a struct that are whole numbers."""
    return [(name, ctypes.c_long) for name in names]


def pointers(*names: str) -> list[tuple[str, type[ctypes.c_void_p]]]:
    """Fields of a struct that are pointers."""
    return [(name, ctypes.c_void_p) for name in names]


def described() -> str:
    """What computes the hops and the softmax here, for the record of a run."""
    library = _library()
    if library is None:
        return "none: PyTorch alone"
    return f"compiled, {32 * library.memlm_floats()} bits"


@cache
def _library() -> Any:
    """The compiled functions, or None."""
    spec = find_spec("memlm.native._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:
        return None
    for name in ("memlm_hops_forward", "memlm_hops_backward", "memlm_softmax"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.memlm_floats.restype = ctypes.c_long
    return library


@cache
def _parallel() -> int | None:
    """The address of OpenMP's way to run a function on all threads."""
    found = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    return None if found is None else ctypes.cast(found, ctypes.c_void_p).value
