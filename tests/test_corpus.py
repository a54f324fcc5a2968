"""Words to ids: the vocabulary of the training split, one <eos> a line, unknown words counted."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.data.corpus import count_words, encode, read_lines
from memlm.data.vocab import EOS, UNK, Vocabulary
from memlm.errors import MemlmError


def test_the_most_frequent_word_comes_first():
    vocabulary = Vocabulary.from_counts(count_words([["b", "a", "b"], ["c", "b"], ["a"]]))
    assert vocabulary.words == ("<eos>", "b", "a", "c", "<unk>")


def test_encoding_counts_what_it_does_not_know(vocabulary: Vocabulary):
    text = encode([["the", "dog", "sat"], [], ["<unk>", "on"]], vocabulary)
    assert text.tokens.tolist() == [2, 1, 4, 0, 0, 1, 5, 0]
    assert text.oov == 1  # <unk> itself is a known word


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), unique=True))
def test_a_vocabulary_survives_its_file(tmp_path_factory: pytest.TempPathFactory, words: list[str]):
    vocabulary = Vocabulary.from_counts(Counter({word: i + 1 for i, word in enumerate(words)}))
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.save(path)
    loaded = Vocabulary.load(path)
    assert loaded.words == vocabulary.words
    assert loaded.sha256 == vocabulary.sha256


def test_a_vocabulary_needs_its_marks():
    with pytest.raises(MemlmError, match="holds each word once"):
        Vocabulary(["a", "b"])
    with pytest.raises(MemlmError, match="holds each word once"):
        Vocabulary([EOS, UNK, "a", "a"])


def test_lines_end_at_line_feeds_alone(tmp_path: Path):
    path = tmp_path / "text"
    path.write_bytes("one\u2028two\r\nthree\x0cfour\n\nfive".encode())
    assert list(read_lines(path)) == [["one", "two"], ["three", "four"], [], ["five"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"fine\nna\xefve\n", r"is not UTF-8 text \(line 2, byte 3\)")],
)
def test_unreadable_files_are_named(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(MemlmError, match=f"{path} {message}"):
        list(read_lines(path))


def test_penn_treebank_has_its_known_counts(real_data: Path):
    files = {split: real_data / "ptb" / f"ptb.{split}.txt" for split in ("train", "valid", "test")}
    vocabulary = Vocabulary.from_counts(count_words(read_lines(files["train"])))
    assert len(vocabulary) == 10_000
    encoded = {split: encode(read_lines(path), vocabulary) for split, path in files.items()}
    assert [len(text.tokens) for text in encoded.values()] == [929_589, 73_760, 82_430]
    assert [text.oov for text in encoded.values()] == [0, 0, 0]
