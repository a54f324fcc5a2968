"""Strict JSON: what is written, what is read, and values of the wrong type."""

import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from memlm import jsontext
from memlm.errors import MemlmError


@dataclass(frozen=True)
class Figures:
    steps: int
    loss: float
    best: int | None
    tasks: dict[str, float]


FIGURES: dict[str, Any] = {"steps": 3, "loss": 2, "best": None, "tasks": {"1": 0.5}}


def test_a_number_that_is_not_finite_is_null_at_any_depth():
    value = {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": MappingProxyType({"d": math.nan})}
    assert jsontext.dumps(value) == '{"a": null, "b": [null, [1.5, null]], "c": {"d": null}}'


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(text: bytes, tmp_path: Path):
    with pytest.raises(ValueError):  # noqa: PT011 (its kind is all that is promised)
        jsontext.loads(text)
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(MemlmError, match=r"a\.json is damaged: it is not JSON"):
        jsontext.read(path)


def test_a_file_is_read_or_named(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert jsontext.read(tmp_path / "a.json") == {"a": [1, None]}
    with pytest.raises(MemlmError, match=r"cannot read .*b\.json: No such file or directory"):
        jsontext.read(tmp_path / "b.json")


def test_a_dataclass_of_values_of_the_right_types():
    assert jsontext.as_dataclass(Figures, FIGURES) == Figures(3, 2, None, {"1": 0.5})


@pytest.mark.parametrize(
    "change",
    [{"steps": 3.0}, {"steps": True}, {"steps": None}, {"loss": math.inf}, {"loss": "2"}, {"best": 1.5}, {"more": 1}],
)
def test_a_value_of_another_type_is_refused(change: dict[str, object]):
    with pytest.raises(TypeError):
        jsontext.as_dataclass(Figures, FIGURES | change)


@pytest.mark.parametrize("values", [None, [], "steps", {"steps": 3}])
def test_what_is_not_the_object_is_refused(values: object):
    with pytest.raises(TypeError):
        jsontext.as_dataclass(Figures, values)
