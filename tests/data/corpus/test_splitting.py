"""One file as three splits: whole lines, in order, of about the shares that were asked for, and nothing is lost."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memlm.data import dataset
from memlm.data.corpus import splitting
from memlm.data.corpus.reading import TextFile, read_words
from memlm.data.corpus.splitting import split_file
from memlm.data.vocabulary.words import EOS
from memlm.errors import MemlmError

LINES = st.lists(st.text("ab é", max_size=6), min_size=1, max_size=30)
SHARES = st.tuples(*[st.integers(1, 9)] * 3)


def content(text: TextFile) -> bytes:
    return text.path.read_bytes()[text.start : text.end]


def oracle(whole: bytes, shares: tuple[int, int, int], border: bytes) -> list[bytes]:
    """Byte by byte: each split takes whole lines (or words) until it has its share of what there is."""
    pieces = [piece + border for piece in whole.split(border)]
    pieces[-1] = pieces[-1].removesuffix(border)
    ends = [Fraction(sum(shares[:i]), sum(shares)) * len(whole) for i in (1, 2)]
    found, at = [b"", b"", b""], 0
    for piece in pieces:
        # A piece is of the split whose share it begins in; the first piece is always of the first one.
        split = sum(at >= max(1, int(end)) for end in ends)
        found[split] += piece
        at += len(piece)
    return found


@given(LINES, SHARES, st.booleans())
def test_a_file_is_split_at_line_borders(file: Path, lines: list[str], shares: tuple[int, int, int], ended: bool):
    whole = ("\n".join(lines) + "\n" * ended).encode()
    assume(b"\n" in whole[:-1])
    file.write_bytes(whole)
    expected = oracle(whole, shares, b"\n")
    if all(expected):
        found = split_file(file, "{},{},{}".format(*shares))
        assert [content(text) for text in found.values()] == expected
        assert list(found) == ["train", "valid", "test"]
    else:
        with pytest.raises(MemlmError, match=rf"^{file} can't be split .* at the ends of lines: nothing is left for"):
            split_file(file, "{},{},{}".format(*shares))


@given(st.lists(st.text("abé", max_size=6), min_size=3, max_size=30), SHARES)
def test_a_text_of_one_line_is_split_between_words(file: Path, words: list[str], shares: tuple[int, int, int]):
    whole = " ".join(words).encode()
    assume(whole)
    file.write_bytes(whole)
    expected = oracle(whole, shares, b" ")
    if all(expected):
        found = split_file(file, "{},{},{}".format(*shares))
        assert [content(text) for text in found.values()] == expected
        read = [word for text in found.values() for block in read_words(text) for word in block]
        assert [word for word in read if word != EOS] == whole.decode().split()


def test_a_border_is_found_across_blocks(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splitting, "BLOCK", 3)
    file.write_bytes(b"one two three\nfour\n" + b"five " * 10 + b"\nsix\nseven\n")
    found = split_file(file, "70,4,6")
    assert [content(text) for text in found.values()][1:] == [b"six\n", b"seven\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"one", "can't be split 90,5,5 at the ends of words: nothing is left for valid"),
        (b"one\n", "can't be split 90,5,5 at the ends of words: nothing is left for valid"),
        (b"one\n" * 9 + b"two\n", "can't be split 90,5,5 at the ends of lines: nothing is left for test"),
        (b"one two thr\xffee " * 99, r"is not UTF-8 text \(line 1, byte 12\)"),
        (b"fine\n" * 96 + b"b\0ad\n" * 4, r"is not UTF-8 text: it holds a NUL \(line 97, byte 2\)"),
    ],
)
def test_what_cannot_be_split_or_read_is_named(text: bytes, message: str, file: Path):
    file.write_bytes(text)
    with pytest.raises(MemlmError, match=f"^{file} {message}"):
        dataset.load_dataset(str(file))
