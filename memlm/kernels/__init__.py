"""Compiled CPU kernels for hops, softmax and embeddings (c/kernels.c). Without them, PyTorch computes the same slower.

They run on the threads of the OpenMP that PyTorch has loaded. If it can't be found, they are used only if PyTorch has
a single thread.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from memlm.errors import MemlmError

FLOATS = 16  # per vector, at most
OTHER_VERSION = 2  # what a kernel returns for a struct of another size
PADDING = 16  # floats: rows are padded to a multiple of the longest vector


class Job(ctypes.Structure):
    """The arguments of a kernel, as a struct of kernels.c. It keeps the tensors alive that it points to."""

    def set(self, **fields: int | Tensor | Sequence[Tensor] | Sequence[int]) -> None:
        """Set fields: a number, the address of a tensor's values, or an array of such addresses or of numbers."""
        for name, value in fields.items():
            if not isinstance(value, int):
                self.__dict__.setdefault("alive", {})[name], value = _address(value)
            setattr(self, name, value)


def _address(value: Tensor | Sequence[Tensor] | Sequence[int]) -> tuple[object, int]:
    """What must stay alive, and its address. A detached tensor keeps the values even if `value.data` is replaced."""
    if isinstance(value, Tensor):
        return value.detach(), value.data_ptr()
    items = [item.data_ptr() if isinstance(item, Tensor) else item for item in value]
    array = (ctypes.c_size_t * len(items))(*items)
    return (array, [item.detach() for item in value if isinstance(item, Tensor)]), ctypes.addressof(array)


class _Machine(ctypes.Structure):
    _fields_ = [("parallel", ctypes.c_void_p), ("threads", ctypes.c_long), ("floats", ctypes.c_long)]


def fits(*tensors: Tensor | None, types: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether the kernels are available and can compute on these tensors: of these types, on a CPU, contiguous."""
    return _can_run() and all(
        tensor is None or (tensor.dtype in types and tensor.device.type == "cpu" and tensor.is_contiguous())
        for tensor in tensors
    )


def indices(values: Tensor, size: int) -> Tensor:
    """Indices as a kernel reads them. Raises IndexError unless all are from 0 to size - 1: no kernel checks."""
    if values.numel():
        lowest, highest = values.aminmax()
        if lowest < 0 or highest >= size:
            raise IndexError(f"an index is not from 0 to {size - 1}")
    return values.to("cpu", torch.int64).contiguous()


def call(name: str, job: Job) -> None:
    """Run a kernel on PyTorch's threads. Raises MemoryError, and MemlmError if the library is of another version."""
    machine = _Machine(_parallel(), torch.get_num_threads(), FLOATS)
    function = getattr(_library(), name, None)
    failed = function and function(ctypes.byref(machine), ctypes.byref(job), ctypes.c_long(ctypes.sizeof(job)))
    if function is None or failed == OTHER_VERSION:
        raise MemlmError("the compiled kernels are of another version of memlm: install it again (pip install -e .)")
    if failed:
        raise MemoryError("out of memory for the scratch space of the kernels")


def numbers(*names: str) -> list[tuple[str, type[ctypes.c_long]]]:
    """Integer fields of a struct."""
    return [(name, ctypes.c_long) for name in names]


def pointers(*names: str) -> list[tuple[str, type[ctypes.c_void_p]]]:
    """Pointer fields of a struct."""
    return [(name, ctypes.c_void_p) for name in names]


def described() -> str:
    """Which kernels are in use, for the record of a run."""
    library = _library()
    if library is None:
        return "none: PyTorch alone"
    return f"{32 * library.memlm_floats()} bits" if _can_run() else "not used: PyTorch's threads can't be reached"


@cache
def _library() -> Any:
    """The compiled library, or None."""
    spec = find_spec("memlm.kernels._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:
        return None
    library.memlm_floats.restype = ctypes.c_long
    return library


def _can_run() -> bool:
    return _library() is not None and (_parallel() is not None or torch.get_num_threads() == 1)


@cache
def _parallel() -> int | None:
    """The address of OpenMP's function that runs a function on all threads; None if it can't be found."""
    found = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    return None if found is None else ctypes.cast(found, ctypes.c_void_p).value
