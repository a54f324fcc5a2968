"""Texts from Python: lines and ids become the same files, and what is no text is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memlm.data.texts import Texts, texts
from memlm.errors import MemlmError

WORDS = ["<eos>", "<unk>", "the", "cat"]
LINES: dict[str, Any] = {"train": ["the cat", "", "cat\n"], "valid": ["the"], "test": iter(["cat the"])}
IDS = {"train": np.array([2, 3, 0, 0, 3, 0]), "valid": np.array([2]), "test": np.array([3, 2, 0], np.uint8)}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path))
    return tmp_path


def content(made: Texts) -> dict[str, str]:
    return {path.stem: path.read_text() for path in made.place.iterdir()}


def test_lines_and_ids_become_the_same_files(root: Path):
    lines, ids = texts(**LINES), texts(**IDS, vocabulary=WORDS)
    assert content(lines) == {"train": "the cat\n\ncat\n", "valid": "the\n", "test": "cat the\n"}
    assert lines.place == ids.place
    assert lines.place.parent == root / "texts"
    assert lines.vocabulary is None
    assert ids.vocabulary is not None
    assert ids.vocabulary.words == tuple(WORDS)


def test_other_texts_have_another_place_and_a_damaged_file_is_written_again():
    first = texts(train=["a"], valid=["b"], test=["c"])
    assert texts(train=["a"], valid=["b"], test=["d"]).place != first.place
    (first.place / "valid.txt").write_text("damaged")
    assert content(texts(train=["a"], valid=["b"], test=["c"]))["valid"] == "b\n"


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("the cat", "train is one string: give a list of lines"),
        ([], "train is empty"),
        (["", " "], "train is empty"),
        (["a\nb"], "train holds a line with a line break in it: 'a\\\\nb'"),
        ([b"a"], "train holds b'a': lines must be str"),
        (np.array([4]), "train holds an id that is not from 0 to 3"),
        (np.array([-1]), "train holds an id that is not from 0 to 3"),
        (np.array([1.0]), r"train is an array \(1,\) of float64: ids must be whole numbers"),
        (np.array([[1]]), r"train is an array \(1, 1\) of int64"),
    ],
)
def test_what_is_no_text_is_refused(train: Any, message: str):
    with pytest.raises(MemlmError, match=message):
        texts(train=train, valid=["a"], test=["a"], vocabulary=WORDS)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (None, "train is an array of ids: give their vocabulary too"),
        (["<eos>", "a"], "the vocabulary lacks <unk>"),
        ([*WORDS, "cat"], "the vocabulary holds a word twice"),
        ([*WORDS, "a b"], "the vocabulary holds 'a b': an entry must be a word without white space"),
    ],
)
def test_ids_need_a_whole_vocabulary(vocabulary: list[str] | None, message: str):
    with pytest.raises(MemlmError, match=message):
        texts(train=np.array([1]), valid=["a"], test=["a"], vocabulary=vocabulary)
