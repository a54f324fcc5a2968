"""Passports, worked out by hand; the nats of each token come back as they were kept, or not at all."""

import json
import math
from pathlib import Path
from typing import Any, cast, get_type_hints

import numpy as np
import pytest

from memlm.data.corpus.reading import EncodedText, encode
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation import passport, records
from memlm.evaluation.passport import Facts, PassportKeys
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, Memlm

LINES = [["the", "dog", "sat"], [], ["<unk>", "on"]]  # tokens: the, dog (unknown), sat, eos, eos, <unk>, on, eos
NATS = np.array([1.0, 6.0, 2.0, 1.0, 0.5, 3.0, 2.0, 0.5])


def facts(protocol: str = "exact", **wrappers: object) -> Facts:
    told: dict[str, Any] = {key: kind() for key, kind in get_type_hints(Facts).items() if isinstance(kind, type)}
    told |= {"protocol": protocol, "split": "test", "tokenizer": "words", "data": {}, "context": 2}
    return cast(Facts, told | {"checkpoint": "best", "step": 1, "wrappers": wrappers})


@pytest.fixture
def text(vocabulary: Vocabulary) -> EncodedText:
    return encode(LINES, vocabulary)


def test_a_passport_by_hand(text: EncodedText):
    found = passport.make_passport(NATS, text, facts(), memory_size=None, floor_nats=8.0)
    assert (found["tokens"], found["skipped"], found["oov"], found["words"]) == (8, 0, 1, 8)
    assert found["nats"] == 16
    assert found["perplexity"] == found["word_perplexity"] == pytest.approx(math.exp(2))
    assert found["perplexity_without_oov"] == pytest.approx(
        math.exp(10 / 7)
    )  # dog is out, the <unk> in the text is in
    assert found["characters"] == 22  # "the dog sat\n", "\n", "<unk> on\n"
    assert found["bits_per_character"] == pytest.approx(16 / 0.6931471805599453 / 22)
    assert found["floor_perplexity"] == pytest.approx(math.e)
    assert found.keys() == PassportKeys.__annotations__.keys()


def test_a_passport_of_the_facebook_protocol(text: EncodedText):
    # With a memory of 2 the first 3 tokens are skipped, dog among them; the 5 others fill 128 places.
    found = passport.make_passport(NATS, text, facts("facebook"), memory_size=2)
    assert (found["tokens"], found["skipped"], found["oov"]) == (128, 3, 0)
    expected = 25 * 7.0 + 1.0 + 0.5 + 3.0
    assert found["nats"] == pytest.approx(expected)
    assert found["perplexity_without_oov"] == found["perplexity"] == pytest.approx(math.exp(expected / 128))
    assert found["characters"] is found["bits_per_character"] is found["floor_perplexity"] is None


def test_unknown_words_alone_have_no_perplexity_without_them(vocabulary: Vocabulary):
    text = encode([["dog"]], Vocabulary(vocabulary.words))
    only = EncodedText(tokens=text.tokens[:1], unknown=text.unknown, words=1, characters=4)
    found = passport.make_passport(np.ones(1), only, facts(), memory_size=None)
    assert found["oov"] == 1
    assert found["perplexity_without_oov"] is None


@pytest.mark.parametrize(
    ("options", "context"),
    [
        (SMALL, 8),
        (("--model", "lstm", "--epochs", 1), "all before"),
        (("--model", "kneser-ney", "--order", 3), 2),
    ],
)
def test_eval_prints_and_keeps_the_passport(
    options: tuple[object, ...], context: int | str, memlm: Memlm, corpus: Path
):
    test = corpus / "test.txt"
    test.write_text(test.read_text().replace("a1 b1", "a1 unheard"))
    assert memlm("train", "--dataset", corpus, *options, "--run-dir", "runs/a").exit_code == 0
    printed = json.loads(memlm("eval", "runs/a", "--json").stdout)
    assert printed.keys() == PassportKeys.__annotations__.keys()
    assert printed["context"] == context
    assert printed["tokenizer"] == "words"
    assert printed["wrappers"] == {}
    assert printed["dtype"] == ("float64" if printed["model"] == "kneser-ney" else "float32")
    assert printed["device"] == "cpu"
    assert printed["oov"] == test.read_text().count("unheard") > 0
    assert printed["perplexity_without_oov"] != printed["perplexity"]
    assert printed["characters"] == len(test.read_text())
    assert printed["bits_per_character"] == pytest.approx(printed["nats"] / math.log(2) / printed["characters"])
    run = RunFolder.open(Path("runs/a"))
    assert run.read_json(records.EVALUATIONS)["test/exact/best"] == printed
    nats = records.best_nats(run, "test")
    assert nats.dtype == np.float64
    assert nats.sum() == pytest.approx(printed["nats"], rel=1e-12)


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
