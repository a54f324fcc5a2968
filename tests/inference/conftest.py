"""Fixtures: trained models."""

from pathlib import Path

import pytest

import memlm as package
from memlm.inference.load import load_text
from tests.helpers.command_line import SMALL, Memlm

OPTIONS = {
    "memn2n": (*SMALL, "--lr", 0.05),
    "lstm": ("--model", "lstm", "--units", 12, "--epochs", 2, "--lr", 0.05),
    "kneser-ney": ("--model", "kneser-ney"),
}


@pytest.fixture(params=OPTIONS)
def trained(request: pytest.FixtureRequest, memlm: Memlm, corpus: Path) -> package.TrainedModel:
    """A small model of each kind, trained on the tiny corpus."""
    result = memlm("train", "--dataset", corpus, *OPTIONS[request.param], "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    return load_text("runs/a")
