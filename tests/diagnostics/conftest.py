"""Fixtures: a small run."""

from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL, Memlm


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    return Path("runs/a")
