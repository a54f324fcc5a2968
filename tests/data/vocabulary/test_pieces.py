"""Pieces of words: any line comes back as it was, a word's pieces depend on it alone, and what is wrong is named."""

import hashlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memlm.data import make_vocabulary
from memlm.data.corpus.reading import TextFile, encode, encode_blocks, join, read_words
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.pieces import PieceVocabulary
from memlm.data.vocabulary.words import EOS, UNK
from memlm.errors import MemlmError
from tests.helpers.pieces import KINDS, SIZE, TEXT, WORDS, settings


def words_of(line: str) -> list[str]:
    return [word for word in line.split() if word != EOS]  # stands for a line's end, wherever it stands


@pytest.mark.parametrize("kind", KINDS)
@given(st.text() | st.lists(st.sampled_from([*WORDS, "\u2581", "\u2585", "<s>", "</s>", "<0x41>"])).map(" ".join))
@example("\u2581 a\u2581 \u2581\u2581b\u2581c \u2585 \0 e\u0301 \u200d \U0001f469\u200d\U0001f680 <pad> <0xE2>")
@example("\ufffd \uffff \ufeff \x01\x7f \u0085 \u2028x \u00a0 \U0010ffff " + "long" * 700 + "\u2581" * 1500)
def test_any_line_comes_back(learnt: dict[str, PieceVocabulary], kind: str, line: str):
    vocabulary, words = learnt[kind], words_of(line)
    ids = vocabulary.ids_of([*words, EOS])
    assert "".join(vocabulary.spelling(ids)) == " ".join(words) + "\n"
    assert "".join(vocabulary.as_written([*words, EOS])) == "".join(vocabulary.words[i] for i in ids)
    starts = vocabulary.word_starts(ids)
    assert starts.sum() == len(words) + 1
    assert all(word in vocabulary for word in words)
    for word, own in zip([*words, EOS], np.split(ids, np.flatnonzero(starts)[1:]), strict=True):
        assert vocabulary.ids_of([word]).tolist() == own.tolist()  # whatever stands around it


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.sampled_from([*WORDS, EOS, "neverseen"])), st.data())
def test_blocks_may_be_cut_anywhere(
    learnt: dict[str, PieceVocabulary], kind: str, words: list[str], data: st.DataObject
):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=3)))
    blocks = [words[a:b] for a, b in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    found, whole = join(encode_blocks(blocks, learnt[kind])), join(encode_blocks([words], learnt[kind]))
    assert found.tokens.tolist() == whole.tokens.tolist()
    assert (found.words, found.characters, found.oov) == (len(words), whole.characters, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_by_falling_count(train: TextFile, learnt: dict[str, PieceVocabulary], kind: str):
    vocabulary = learnt[kind]
    tokens = join(encode_blocks(read_words(train), vocabulary)).tokens
    counts = Counter(dict.fromkeys(range(len(vocabulary)), 0) | Counter(tokens.tolist()))
    assert len(vocabulary) == SIZE
    assert sorted(counts, key=lambda i: (-counts[i], vocabulary.words[i])) == list(range(SIZE))
    assert counts[vocabulary.unk] == TEXT.split().count(UNK)
    assert counts[vocabulary.eos] == TEXT.count("\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_keeps_all_of_it(learnt: dict[str, PieceVocabulary], kind: str, tmp_path: Path):
    vocabulary = learnt[kind]
    vocabulary.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.model", "vocab.txt"]
    other = load_vocabulary(tmp_path, settings(kind))
    assert other.words == vocabulary.words
    assert other.sha256 == vocabulary.sha256
    assert other.ids_of(WORDS).tolist() == vocabulary.ids_of(WORDS).tolist()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.model", lambda whole: None, "cannot read .*tokenizer.model: No such file or directory"),
        ("tokenizer.model", lambda whole: b"", "tokenizer.model is damaged"),
        ("tokenizer.model", lambda whole: b"no model", "tokenizer.model is damaged"),
        ("tokenizer.model", lambda whole: whole[: len(whole) // 2], "tokenizer.model is damaged"),
        ("vocab.txt", lambda whole: whole.replace(b"<0x41>", b"<0x4>"), "tokenizer.model is damaged"),
        ("vocab.txt", lambda whole: whole.replace(b"<eos>", b"<end>"), "the vocabulary of a text must hold <eos>"),
        ("vocab.txt", lambda whole: None, "no vocabulary at .*vocab.txt"),
    ],
)
def test_a_damaged_one_is_named(learnt: dict[str, PieceVocabulary], tmp_path: Path, file: str, change, message: str):
    learnt["bpe"].save(tmp_path)
    content = change((tmp_path / file).read_bytes())
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(MemlmError, match=message):
        load_vocabulary(tmp_path, settings("bpe"))


def test_any_change_of_the_model_is_seen(learnt: dict[str, PieceVocabulary], tmp_path: Path):
    vocabulary, rng = learnt["unigram"], np.random.default_rng(1)
    for _ in range(60):
        vocabulary.save(tmp_path)
        damaged = bytearray(vocabulary.model)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        (tmp_path / "tokenizer.model").write_bytes(damaged)
        with suppress(MemlmError):
            assert load_vocabulary(tmp_path, settings()).sha256 != vocabulary.sha256


def test_small_letters(train: TextFile, tmp_path: Path):
    path = tmp_path / "train.txt"
    path.write_text(TEXT.upper())
    vocabulary = make_vocabulary.make_vocabulary(TextFile(path), settings(lowercase=True))
    assert vocabulary.ids_of(["CAT", "<eos>"]).tolist() == vocabulary.ids_of(["cat", "<eos>"]).tolist()
    assert "".join(vocabulary.spelling(vocabulary.ids_of(["CAT"]))) == "cat"
    assert vocabulary.sha256 != make_vocabulary.make_vocabulary(TextFile(path), settings()).sha256


def test_odd_bytes_are_written_as_they_can_be(learnt: dict[str, PieceVocabulary]):
    vocabulary = learnt["bpe"]
    ids = [
        vocabulary.words.index(piece) for piece in ("<0xE2>", "<0x82>", "<0xAC>", "<0xE2>", "\u2581", EOS, "<0x41>")
    ]
    assert list(vocabulary.spelling(ids)) == ["", "", "\u20ac", "", "\ufffd ", "\n", "A"]
    assert len(vocabulary.ids_of(["lone\ud800"])) > 0  # no text file holds it, a command line may


def test_the_hash_is_of_pieces_and_model(learnt: dict[str, PieceVocabulary]):
    vocabulary = learnt["bpe"]
    other = PieceVocabulary(vocabulary.words[::-1], vocabulary.model)
    assert other.sha256 != vocabulary.sha256 != hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()
    assert encode([["cat"]], other).tokens.tolist() != encode([["cat"]], vocabulary).tokens.tolist()
