"""Texts from Python: lines, or ids with a vocabulary."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memlm as package
from memlm.data.texts import Texts
from memlm.errors import MemlmError

SETTINGS: dict[str, Any] = {"hops": 2, "memory_size": 8, "units": 12, "epochs": 2, "device": "cpu", "quiet": True}
SPLITS = ("train", "valid", "test")
WORDS = ["d", "<unk>", *(f"{letter}{i}" for letter in "cba" for i in range(5)), "<eos>"]  # in an order of their own

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder, with the data in it


def lines_of(corpus: Path, split: str) -> list[str]:
    return (corpus / f"{split}.txt").read_text().splitlines()


def ids_of(corpus: Path, split: str) -> np.ndarray:
    """The ids of a split's words, and of `<eos>` after each line."""
    words = [word for line in lines_of(corpus, split) for word in (*line.split(), "<eos>")]
    return np.array([WORDS.index(word) for word in words])


def texts(**values: Any) -> Texts:
    return package.texts(**({split: ["the cat sat"] for split in SPLITS} | values))


def test_lines_are_a_text_like_any_other(corpus: Path):
    data = package.texts(train=lines_of(corpus, "train"), valid=lines_of(corpus, "valid"), test=["a0 b0 zzz d"])
    assert [(data.place / f"{split}.txt").read_text() for split in ("train", "valid")] == [
        (corpus / f"{split}.txt").read_text() for split in ("train", "valid")
    ]
    model = package.train("memn2n", dataset=data, run_dir="a", **SETTINGS)
    same = package.train("memn2n", dataset=corpus, run_dir="b", **SETTINGS)
    assert model.evaluate("valid")["nats"] == same.evaluate("valid")["nats"]
    assert model.evaluate("test")["oov"] == 1


def test_lines_may_end_with_a_line_break_and_come_one_by_one():
    assert texts(train=(line for line in ["a b\n", "", "c"])) == texts(train=["a b", "", "c\n"])


def test_ids_keep_their_vocabulary(corpus: Path):
    data = package.texts(**{split: ids_of(corpus, split) for split in SPLITS}, vocabulary=WORDS)
    model = package.train("memn2n", dataset=data, run_dir="a", **SETTINGS)
    assert list(model.vocabulary.words) == WORDS
    assert Path("a/vocab.txt").read_text().splitlines() == WORDS
    again = package.load("a")
    assert list(again.vocabulary.words) == WORDS
    scored = package.evaluate(again, "test")
    assert scored["tokens"] == len(ids_of(corpus, "test"))
    assert scored["perplexity"] == pytest.approx(model.perplexity((corpus / "test.txt").read_text()))
    assert scored["oov"] == 0
    assert len(model.next_word("a0").probabilities) == len(WORDS)


def test_ids_are_the_words_that_they_stand_for(corpus: Path):
    """Empty lines and `<unk>` among them, in every type of whole numbers, and without `<eos>` at the end."""
    line, end = [WORDS.index("d"), WORDS.index("<unk>")], WORDS.index("<eos>")
    for kind in (np.uint8, np.int16, np.int64):
        data = texts(train=np.array([end, *line, end, end, *line], kind), vocabulary=WORDS)
        assert (data.place / "train.txt").read_text() == "\nd <unk>\n\nd <unk>\n"


def test_a_stopped_run_goes_on_with_them(corpus: Path):
    class Stop(package.Observer):
        def epoch(self, *what: Any) -> Any:
            return package.STOP

    data = package.texts(**{split: ids_of(corpus, split) for split in SPLITS}, vocabulary=WORDS)
    whole = package.train("memn2n", dataset=data, run_dir="a", **SETTINGS)
    package.train("memn2n", dataset=data, run_dir="b", callbacks=[Stop()], **SETTINGS)
    resumed = package.resume("b", quiet=True)
    assert list(resumed.vocabulary.words) == WORDS
    assert resumed.evaluate("test")["nats"] == whole.evaluate("test")["nats"]
    (data.place / "valid.txt").write_text("d\n")
    with pytest.raises(MemlmError, match="valid"):
        package.evaluate("a", "valid")


def test_the_vocabulary_leaves_no_settings_of_the_text(corpus: Path):
    data = package.texts(**{split: ids_of(corpus, split) for split in SPLITS}, vocabulary=WORDS)
    for setting in ({"level": "char"}, {"vocab_size": 5}, {"min_count": 2}, {"tokenizer": "sentencepiece"}):
        with pytest.raises(MemlmError, match="have a vocabulary of their own: leave out settings of the text"):
            package.train("memn2n", dataset=data, run_dir="a", **SETTINGS, **setting)
    assert not Path("a").exists()
    package.train("memn2n", dataset=corpus, run_dir="a", **SETTINGS)
    assert list(package.train("a", dataset=data, run_dir="b", quiet=True).vocabulary.words) == WORDS


def test_texts_made_twice_are_one(tmp_path: Path):
    one, two, other = texts(), texts(), texts(test=["the cat"])
    assert one == two
    assert one.place != other.place
    assert sorted(path.name for path in (tmp_path / "data" / "texts").iterdir()) == sorted(
        [one.place.name, other.place.name]
    )
    (one.place / "test.txt").write_text("damaged")
    assert (texts().place / "test.txt").read_text() == "the cat sat\n"


IDS = np.array([0, 1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": IDS}, "train is an array of ids: give their vocabulary too"),
        ({"valid": IDS.astype(float), "vocabulary": WORDS}, "valid is an array (2,) of float64: ids must be whole"),
        ({"valid": IDS[None], "vocabulary": WORDS}, "valid is an array (1, 2) of int64"),
        ({"valid": IDS > 0, "vocabulary": WORDS}, "valid is an array (2,) of bool"),
        ({"test": IDS + len(WORDS) - 1, "vocabulary": WORDS}, f"an id that is not from 0 to {len(WORDS) - 1}"),
        ({"test": IDS - 1, "vocabulary": WORDS}, "test holds an id that is not from 0"),
        ({"vocabulary": ["<eos>", "<unk>", "new york"]}, "holds 'new york': an entry must be a word"),
        ({"vocabulary": ["<eos>", "<unk>", ""]}, "the vocabulary holds ''"),
        ({"vocabulary": ["<eos>", "<unk>", 5]}, "the vocabulary holds 5"),
        ({"vocabulary": ["<eos>", "a"]}, "the vocabulary lacks <unk>"),
        ({"vocabulary": ["<unk>", "a"]}, "the vocabulary lacks <eos>"),
        ({"vocabulary": ["<eos>", "<unk>", "a", "a"]}, "the vocabulary holds a word twice"),
        ({"train": "the cat sat"}, "train is one string: give a list of lines"),
        ({"train": b"the cat sat"}, "train is one string: give a list of lines"),
        ({"train": [b"the cat sat"]}, "train holds b'the cat sat': lines must be str"),
        ({"train": [3, 4]}, "train holds 3: lines must be str, or the text an array of ids"),
        ({"train": ["the\ncat"]}, "train holds a line with a line break in it: 'the\\ncat'"),
        ({"test": []}, "test is empty"),
        ({"test": ["", " "]}, "test is empty"),
        ({"test": IDS[:0], "vocabulary": WORDS}, "test is empty"),
        ({"test": 5}, "test is int: give lines or an array of ids"),
    ],
)
def test_what_is_no_text_is_refused_and_leaves_nothing(values: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(MemlmError) as error:
        texts(**values)
    assert message in str(error.value)
    assert not (tmp_path / "data").exists()
