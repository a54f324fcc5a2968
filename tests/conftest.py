"""Fixtures: the real datasets where they are found, seeded generators, and a tiny corpus."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from memlm.cli import main
from memlm.data.vocabulary.words import Vocabulary
from tests.helpers.repository import REPOSITORY

pytest_plugins = ("tests.helpers.mirrors", "tests.helpers.fuzzing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="tests marked soak in their long form: `make soak`")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """A function that chooses between a short count, of `make test`, and a long one, of `make soak`."""

    def choose(short: int, long: int) -> int:
        return long if request.config.getoption("--soak") else short

    return choose


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' servers are on this machine, and what they call nowhere must be nowhere."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets: MEMLM_TEST_DATA, or ../shared/datasets."""
    folder = Path(os.environ.get("MEMLM_TEST_DATA", REPOSITORY.parent / "shared" / "datasets"))
    if not folder.is_dir():
        pytest.skip(f"no real datasets in {folder}")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(["<eos>", "<unk>", "the", "cat", "sat", "on", "mat"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with a learnable text: counting round and round, so that the past tells the next word."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, lines in (("train", 120), ("valid", 20), ("test", 20)):
        text = "".join(f"a{i % 3} b{i % 5} c{i % 3} d\n" for i in range(lines))
        (folder / f"{split}.txt").write_text(text)
    return folder


@pytest.fixture
def memlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that runs a command line in an empty folder: its arguments are the words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke
