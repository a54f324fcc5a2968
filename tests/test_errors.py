"""The exception of errors that users can fix."""

import pytest

from memlm.errors import MemlmError, unknown_name


def test_a_message_is_one_line():
    assert str(MemlmError("cannot read a\nb: no\r\nsuch file")) == "cannot read a b: no such file"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chunk", "unknown sampling 'chunk': did you mean 'chunks'? known are chunks, windows"),
        ("zzz", "unknown sampling 'zzz': known are chunks, windows"),
        ("", "unknown sampling '': known are chunks, windows"),
    ],
)
def test_an_unknown_name_comes_with_the_closest_and_all_known_ones(name: str, message: str):
    assert str(unknown_name("sampling", name, iter(["chunks", "windows"]))) == message
