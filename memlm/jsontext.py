"""Strict JSON: a number that is not finite is written as null."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from memlm.errors import MemlmError

T = TypeVar("T")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON text."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def loads(data: bytes) -> Any:
    """The value of JSON text. Raises ValueError if it is not JSON."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(path: Path) -> Any:
    """The value in a JSON file. Raises MemlmError if the file is missing, can't be read, or is not JSON."""
    try:
        return loads(path.read_bytes())
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise MemlmError(f"{path} is damaged: it is not JSON") from None


def as_dataclass(kind: type[T], values: Any) -> T:
    """A dataclass with these values. Raises TypeError if a value is not of its field's type or not finite."""
    if not isinstance(values, dict):
        raise TypeError(f"not an object: {values!r}")
    made, hints = kind(**values), get_type_hints(kind)
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        value = getattr(made, field.name)
        if not is_of_type(value, hints[field.name]) or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"{field.name} is {value!r}")
    return made


def is_of_type(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, which may be a union. An integer is also a float."""
    accepted = [get_origin(part) or part for part in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
    return type(value) in accepted or (type(value) is int and float in accepted)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
