"""Vocabularies of words: which words they keep, their order, and their file."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.data.corpus.reading import (
    count_words,
    encode,
)
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError


def test_the_most_frequent_word_comes_first():
    vocabulary = Vocabulary.from_counts(count_words([["b", "a", "b", EOS], ["c", "b", EOS], ["a", EOS]]))
    assert vocabulary.words == ("<eos>", "b", "a", "c", "<unk>")


@given(st.dictionaries(st.sampled_from(["a", "A", "b", "B", "c", EOS, UNK]), st.integers(1, 9)), st.data())
def test_a_vocabulary_keeps_the_most_frequent_words(counts: dict[str, int], data: st.DataObject):
    lowercase, min_count = data.draw(st.booleans()), data.draw(st.integers(1, 9))
    size = data.draw(st.none() | st.integers(3, 6))
    found = Vocabulary.from_counts(Counter(counts), min_count=min_count, size=size, lowercase=lowercase)
    seen = Counter(word.lower() if lowercase else word for word in Counter(counts).elements())
    kept = [word for word in found.words if word not in (EOS, UNK)]
    left_out = [word for word in seen if word not in found.words]
    assert all(seen[word] >= min_count for word in kept)
    assert size is None or len(found) <= size
    for word in left_out:
        assert seen[word] < min_count or (len(found) == size and seen[word] <= min(seen[other] for other in kept))
    effective = seen | {UNK: seen[UNK] + sum(seen[word] for word in left_out), EOS: seen[EOS]}
    assert list(found.words) == sorted(found.words, key=lambda word: (-effective[word], word))


def test_a_vocabulary_of_small_letters(tmp_path: Path):
    small = Vocabulary.from_counts(Counter(["The", "the", "cat", EOS]), lowercase=True)
    assert small.ids_of(["THE", "Cat", "dog", EOS]).tolist() == [0, 2, -1, 1]
    assert "CAT" in small
    assert small.sha256 != Vocabulary(small.words).sha256
    small.save(tmp_path)
    assert load_vocabulary(tmp_path, small.config).sha256 == small.sha256
    text = encode([["The", "cat"]], small)
    assert (text.words, text.characters) == (3, 8)


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), unique=True))
def test_a_vocabulary_survives_its_file(tmp_path_factory: pytest.TempPathFactory, words: list[str]):
    vocabulary = Vocabulary.from_counts(Counter({word: i + 1 for i, word in enumerate(words)}))
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary.save(folder)
    loaded = Vocabulary.load(folder)
    assert loaded.words == vocabulary.words
    assert loaded.sha256 == vocabulary.sha256


def test_a_vocabulary_needs_its_marks():
    with pytest.raises(MemlmError, match="must hold <eos> and <unk>"):
        Vocabulary(["a", "b"])
    with pytest.raises(MemlmError, match="must hold each word once"):
        Vocabulary([EOS, UNK, "a", "a"])
