"""A text as characters: any line comes back, blocks may be cut anywhere, and words are counted as words."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.config.data import DataConfig
from memlm.data.corpus.reading import TextFile, encode_blocks, join
from memlm.data.make_vocabulary import make_vocabulary
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.words import EOS, UNK
from memlm.errors import MemlmError

WORDS = ["cat", "a", "<unk>", "naïve", "it's", EOS]
CHARACTERS = CharacterVocabulary.from_counts(Counter(WORDS * 3))


def cut(words: list[str], data: st.DataObject) -> list[list[str]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=3)))
    return [words[a:b] for a, b in zip([0, *cuts], [*cuts, len(words)], strict=True)]


@given(st.text())
def test_any_line_comes_back(line: str):
    words = [word for word in line.split() if word != EOS]
    vocabulary = CharacterVocabulary.from_counts(Counter([*words, EOS]))
    ids = vocabulary.ids_of([*words, EOS])
    assert "".join(vocabulary.spelling(ids)) == " ".join(words) + "\n"
    assert (ids >= 0).all()


@given(st.lists(st.sampled_from([*WORDS, "zoo", "\u2581x"])), st.data())
def test_blocks_may_be_cut_anywhere(words: list[str], data: st.DataObject):
    found, whole = (join(encode_blocks(blocks, CHARACTERS)) for blocks in (cut(words, data), [words]))
    assert found.tokens.tolist() == whole.tokens.tolist()
    assert found.unknown.tolist() == whole.unknown.tolist()
    assert found.characters == len(found.tokens)
    assert CHARACTERS.word_starts(found.tokens).sum() == found.words == len(words)
    assert CHARACTERS.as_written(words) == written(words)
    for word in words:
        assert (word in CHARACTERS) == (not {*word} & {*"zo\u2581x"} or word == EOS)


def written(words: list[str]) -> list[str]:
    lines = " ".join("\n" if word == EOS else word for word in words).replace(" \n", "\n").replace("\n ", "\n")
    return [EOS if character == "\n" else character for character in lines]


def test_by_hand():
    ids = CHARACTERS.ids_of(["a", "cat", EOS, EOS, "zoo", "<unk>"])
    assert [CHARACTERS.words[i] if i >= 0 else "?" for i in ids] == [*"a cat", EOS, EOS, *"??? <unk>"]
    assert CHARACTERS.word_starts(ids).tolist() == [bool(int(flag)) for flag in "1100011100100000"]


def test_the_most_frequent_are_kept_and_the_space_always(tmp_path: Path):
    path = tmp_path / "train.txt"
    path.write_text("aaa bb\nAb c\n")
    data = DataConfig(level="char")
    assert make_vocabulary(TextFile(path), data).words == ("a", "b", " ", EOS, "A", "c", UNK)
    small = make_vocabulary(TextFile(path), DataConfig(level="char", lowercase=True, min_count=3, vocab_size=5))
    assert set(small.words) == {"a", "b", " ", EOS, UNK}
    small.save(tmp_path)
    again = load_vocabulary(tmp_path, DataConfig(level="char", lowercase=True))
    assert again.words == small.words
    assert again.sha256 == small.sha256
    assert again.ids_of(["AbC"]).tolist() == [small.words.index("a"), small.words.index("b"), -1]


@pytest.mark.parametrize("lines", ["<eos>\n<unk>\n \nab\n", "<eos>\n<unk>\na\n"])
def test_a_damaged_one_is_named(tmp_path: Path, lines: str):
    (tmp_path / "vocab.txt").write_text(lines)
    with pytest.raises(MemlmError, match=r"vocab.txt is damaged: it must hold one character per line"):
        load_vocabulary(tmp_path, DataConfig(level="char"))
