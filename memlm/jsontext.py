"""JSON as everyone reads it: a number that is not finite is written as null."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memlm.errors import MemlmError


def dumps(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON text."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def read(path: Path) -> Any:
    """The value in a file; MemlmError where it is missing, can't be read, or is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise MemlmError(f"{path} is damaged: it is not JSON") from None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
