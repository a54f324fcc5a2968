"""Fixtures of the compiled kernels."""

import pytest

from memlm import kernels

FLOATS = (4, 8, 16)


@pytest.fixture(params=FLOATS)
def floats(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Vectors of so many floats at most; a machine that has no longer ones repeats the last."""
    monkeypatch.setattr(kernels, "FLOATS", request.param)
    return int(request.param)
