"""Settings as frozen dataclasses that validate themselves.

Each field has a help text and limits. The command line and the error messages are made from them.
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Self, get_args, get_type_hints

from memlm.errors import MemlmError, unknown_name

DEVICES = ("auto", "cpu", "cuda")
CHECKPOINTS = ("best", "last")  # of a run
LARGEST = 10**38  # absolute value of a setting, so that it fits in float32


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    safe: bool = False,
) -> Any:
    """A dataclass field with its help text and limits: >= low, <= high, > above, < below, one of choices.

    A setting that is `safe` may be changed when a run is resumed.

    >>> import dataclasses
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class MyConfig(memlm.NeuralSettings):
    ...     units: int = memlm.setting(20, "units of each layer", low=1)
    >>> MyConfig(units=0)
    Traceback (most recent call last):
    memlm.errors.MemlmError: units is 0; it must be at least 1
    """
    limits = {"low": low, "high": high, "above": above, "below": below, "choices": choices, "safe": safe}
    return dataclasses.field(default=default, metadata={"help": help, **limits})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of all settings. Checks each value against its type and limits."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field)

    def _check(self, field: dataclasses.Field[Any]) -> None:
        value, limits = getattr(self, field.name), field.metadata
        if "help" not in limits:
            return
        accepted = field_types(type(self), field.name)
        if isinstance(value, int) and not isinstance(value, bool) and float in accepted:
            value = float(value) if abs(value) < LARGEST else math.inf
            object.__setattr__(self, field.name, value)
        if type(value) not in accepted:
            wanted = " or ".join("empty" if kind is type(None) else kind.__name__ for kind in accepted)
            raise MemlmError(f"{field.name} is {value!r}; it must be {wanted}")
        if value is None:
            return
        if isinstance(value, float) and not abs(value) < LARGEST:
            raise MemlmError(f"{field.name} is {value}; it must be finite, and below {float(LARGEST):g}")
        if limits["choices"] and value not in limits["choices"]:
            raise unknown_name(field.name, value, limits["choices"])
        if limits["low"] is not None and value < limits["low"]:
            raise MemlmError(f"{field.name} is {value}; it must be at least {limits['low']}")
        if limits["high"] is not None and value > limits["high"]:
            raise MemlmError(f"{field.name} is {value}; it must be at most {limits['high']}")
        if limits["above"] is not None and value <= limits["above"]:
            raise MemlmError(f"{field.name} is {value}; it must be above {limits['above']}")
        if limits["below"] is not None and value >= limits["below"]:
            raise MemlmError(f"{field.name} is {value}; it must be below {limits['below']}")

    @classmethod
    def names(cls) -> list[str]:
        """The names of the settings."""
        return [field.name for field in dataclasses.fields(cls) if field.metadata]

    @classmethod
    def safe_names(cls) -> list[str]:
        """The names of the settings that may be changed when a run is resumed."""
        fields = dataclasses.fields(cls)
        return [field.name for field in fields if field.metadata.get("safe")]

    def replace(self, values: Mapping[str, object], *, where: str = "settings") -> Self:
        """A copy with these values. Raises MemlmError for an unknown name; the message says that it is in `where`."""
        for name in values:
            if name not in self.names():
                raise unknown_name(f"setting in {where}", name, self.names())
        return dataclasses.replace(self, **values)


def field_types(owner: type, name: str) -> tuple[type, ...]:
    """The types that a field accepts, as (int,) or (int, NoneType)."""
    hint = get_type_hints(owner)[name]
    return get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


PROTOCOLS = ("exact", "facebook")  # how a text is scored: memlm.evaluation.perplexity
