"""The kernels of kernels.c, where an installation has compiled them; without them PyTorch computes the same, slower.

They run on the threads of the OpenMP that PyTorch has loaded. Where that can't be reached, and there are threads to
use, they are not used.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from memlm.errors import MemlmError

FLOATS = 16  # of a vector, at most
OTHER_VERSION = 2  # what a kernel returns for a struct that it does not know
PADDING = 16  # floats: rows are padded to a multiple of the longest vector


class Job(ctypes.Structure):
    """A struct of kernels.c that says what to compute. It keeps what it points to."""

    def set(self, **fields: int | Tensor | Sequence[Tensor] | Sequence[int]) -> None:
        """Set fields: numbers, pointers to a tensor's values, or arrays of such pointers or of numbers."""
        for name, value in fields.items():
            if not isinstance(value, int):
                self.__dict__.setdefault("kept", {})[name], value = _pointed(value)
            setattr(self, name, value)


def _pointed(value: Tensor | Sequence[Tensor] | Sequence[int]) -> tuple[object, int]:
    """What must be kept, and where it is. A detached tensor keeps the values even if another gets its place."""
    if isinstance(value, Tensor):
        return value.detach(), value.data_ptr()
    items = [item.data_ptr() if isinstance(item, Tensor) else item for item in value]
    array = (ctypes.c_size_t * len(items))(*items)
    return (array, [item.detach() for item in value if isinstance(item, Tensor)]), ctypes.addressof(array)


class _Machine(ctypes.Structure):
    _fields_ = [("parallel", ctypes.c_void_p), ("threads", ctypes.c_long), ("floats", ctypes.c_long)]


def fits(*tensors: Tensor | None, types: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether there are kernels here, and for these tensors: of these types, on a CPU, contiguous."""
    return _can_share() and all(
        tensor is None or (tensor.dtype in types and tensor.device.type == "cpu" and tensor.is_contiguous())
        for tensor in tensors
    )


def indices(values: Tensor, size: int) -> Tensor:
    """Indices below `size`, as a kernel reads them. Raises IndexError for others: a kernel would not notice."""
    if values.numel():
        lowest, highest = values.aminmax()
        if lowest < 0 or highest >= size:
            raise IndexError(f"an index is not from 0 to {size - 1}")
    return values.to("cpu", torch.int64).contiguous()


def call(name: str, job: Job) -> None:
    """Run a kernel on PyTorch's threads. Raises MemoryError, or MemlmError where the library is of another version."""
    machine = _Machine(_parallel(), torch.get_num_threads(), FLOATS)
    function = getattr(_library(), name, None)
    failed = function and function(ctypes.byref(machine), ctypes.byref(job), ctypes.c_long(ctypes.sizeof(job)))
    if function is None or failed == OTHER_VERSION:
        raise MemlmError("the compiled kernels are of another version of memlm: install it again (pip install -e .)")
    if failed:
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
    return f"{32 * library.memlm_floats()} bits" if _can_share() else "not used: PyTorch's threads can't be reached"


@cache
def _library() -> Any:
    """The compiled functions, or None."""
    spec = find_spec("memlm.kernels._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:
        return None
    library.memlm_floats.restype = ctypes.c_long
    return library


def _can_share() -> bool:
    return _library() is not None and (_parallel() is not None or torch.get_num_threads() == 1)


@cache
def _parallel() -> int | None:
    """The address of OpenMP's way to run a function on all threads."""
    found = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    return None if found is None else ctypes.cast(found, ctypes.c_void_p).value
