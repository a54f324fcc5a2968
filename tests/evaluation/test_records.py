"""Evaluations that a run keeps: the nats of each token come back as they were kept, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memlm.data.corpus.reading import EncodedText
from memlm.errors import MemlmError
from memlm.evaluation import passport, records
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.passports import NATS, facts


class Kept:
    """A run that has kept an evaluation, of step 1."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.mkdir()
        self.run = RunFolder(path)
        self.file = path / "scores" / "test-exact-best.safetensors"
        monkeypatch.setattr("memlm.runs.checkpoint.step_of", lambda folder: 1)

    def keep(self, nats: np.ndarray, text: EncodedText, protocol: str = "exact", **wrappers: object) -> None:
        made = passport.make_passport(nats, text, facts(protocol, **wrappers), memory_size=2)
        records.record(self.run, records.Evaluation(passport=made, nats=nats, word_nats=nats))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: EncodedText) -> Kept:
    kept = Kept(tmp_path / "run", monkeypatch)
    kept.keep(NATS, text)
    return kept


def test_nats_come_back_as_they_were(kept: Kept, text: EncodedText):
    assert records.best_nats(kept.run, "test").tolist() == NATS.tolist()
    kept.keep(NATS + 0.1, text)
    kept.keep(NATS, text, protocol="facebook")  # has no file of its own, and leaves the other alone
    assert records.best_nats(kept.run, "test").tolist() == (NATS + 0.1).tolist()
    assert [path.name for path in kept.file.parent.iterdir()] == [kept.file.name]


def test_a_wrapped_model_has_an_evaluation_of_its_own(kept: Kept, text: EncodedText):
    kept.keep(NATS / 2, text, mix=[{"run": "runs/grams", "weight": 0.1}], cache={"theta": 0.3})
    assert kept.run.read_json(records.EVALUATIONS).keys() == {
        "test/exact/best",
        "test/exact/best+cache+mix(grams-42c5121e)",
    }
    assert records.best_nats(kept.run, "test").tolist() == NATS.tolist()
    assert kept.file.with_name("test-exact-best+cache+mix(grams-42c5121e).safetensors").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: None, "has no nats per token of test: run `memlm eval"),
        (lambda whole: whole[:-1], "is damaged or can't be read: run `memlm eval"),
        (lambda whole: b"", "is damaged or can't be read: run `memlm eval"),
        (lambda whole: whole.replace(b'"nats"', b'"cats"'), "is damaged or can't be read: run `memlm eval"),
        (lambda whole: whole[:-1] + b"\x40", "does not match the evaluation in evaluations.json: run `memlm eval"),
    ],
)
def test_nats_that_are_not_those_of_the_figure_are_refused(damage: Any, message: str, kept: Kept):
    content = damage(kept.file.read_bytes())
    kept.file.unlink() if content is None else kept.file.write_bytes(content)
    with pytest.raises(MemlmError, match=message):
        records.best_nats(kept.run, "test")


def test_nats_of_a_huge_split_are_not_kept(tmp_path: Path, text: EncodedText, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(records, "MOST_KEPT", 7)
    kept = Kept(tmp_path / "run", monkeypatch)
    kept.keep(NATS, text)
    assert not kept.file.exists()
    with pytest.raises(MemlmError, match="test has more than 7 tokens: the nats per token are not kept"):
        records.best_nats(kept.run, "test")


def test_nats_go_with_the_run(memlm: Memlm, corpus: Path, monkeypatch: pytest.MonkeyPatch):
    again = ("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a")
    assert memlm(*again).exit_code == 0
    kept = Path("runs/a/scores/test-exact-best.safetensors")
    before = kept.read_bytes()
    assert memlm(*again, "--overwrite", "--seed", 5).exit_code == 0
    assert kept.read_bytes() != before

    monkeypatch.setattr("memlm.experiments.signals.SignalRequests.stop", lambda stop: True)
    assert memlm("train", "--resume", "runs/a", "--epochs", 3).exit_code == 0
    assert list(kept.parent.iterdir()) == []
