"""Passports, worked out by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from memlm.data.corpus.reading import EncodedText, encode
from memlm.data.vocabulary.words import Vocabulary
from memlm.evaluation import passport, records
from memlm.evaluation.passport import PassportKeys
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.passports import NATS, facts


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
