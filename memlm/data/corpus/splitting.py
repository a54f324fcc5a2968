"""Cut a text into pieces between words, and a file into train, valid and test."""

import re
from collections.abc import Sequence
from fractions import Fraction
from io import BufferedReader
from itertools import pairwise
from pathlib import Path

from memlm.config.data import shares_of
from memlm.data.catalog.entries import SPLITS
from memlm.data.corpus.reading import BLOCK, TextFile, opened, size_of
from memlm.errors import MemlmError

# A line feed, or a space after a printable ASCII character: such a border cuts no word, and the byte before a piece
# tells whether the piece begins a line.
BETWEEN_WORDS = re.compile(rb"\n|[!-~] ")


def border_after(file: BufferedReader, border: re.Pattern[bytes], offset: int, end: int) -> int:
    """The end of the first border at or after `offset`; `end` if there is none before it."""
    at = file.seek(max(0, offset - 1))
    while at < end and (data := file.read(min(BLOCK, end - at))):
        if found := border.search(data):
            return at + found.end()
        at += len(data)
    return end


def cut(text: TextFile, count: int) -> list[TextFile]:
    """At most `count` pieces of about the same size, in order. Together they have exactly the text's words."""
    size = size_of(text)
    end = text.start + size
    with opened(text.path) as file:
        wanted = [text.start + max(1, size * i // count) for i in range(1, count)]  # without the start
        inner = {border_after(file, BETWEEN_WORDS, offset, end) for offset in wanted}
        cuts = sorted({text.start, *inner, end})
        pieces = []
        for start, stop in pairwise(cuts):
            file.seek(max(0, start - 1))
            begins_line = text.begins_line if start == text.start else file.read(1) == b"\n"
            ends_line = text.ends_line if stop == end else False
            pieces.append(TextFile(text.path, start, stop, begins_line=begins_line, ends_line=ends_line))
    return pieces


LINE, WORD = re.compile(rb"\n"), re.compile(rb"[ \n]")


def split_file(path: Path, shares: str) -> dict[str, TextFile]:
    """Cut a file into train, valid and test, in this order, with these shares of its bytes.

    A split ends with the line that holds its last byte, or with the word if the file is one line. Raises MemlmError
    if the file can't be read or a split would be empty.
    """
    size = size_of(TextFile(path))
    if size == 0:
        raise MemlmError(f"{path} is empty")
    border, what = (WORD, "words") if is_one_line(path) else (LINE, "lines")
    with opened(path) as file:
        cuts = [0, *(border_after(file, border, offset, size) for offset in _offsets(shares_of(shares), size)), size]
    splits = {split: TextFile(path, cuts[i], cuts[i + 1]) for i, split in enumerate(SPLITS)}
    for split, text in splits.items():
        if size_of(text) == 0:
            raise MemlmError(f"{path} can't be split {shares} at the ends of {what}: nothing is left for {split}")
    return splits


def is_one_line(path: Path) -> bool:
    """Whether the file has no line feed, except at its end."""
    size = size_of(TextFile(path))
    with opened(path) as file:
        return border_after(file, LINE, 0, size) == size


def _offsets(shares: Sequence[Fraction], size: int) -> list[int]:
    """The ends of the first two shares, in bytes."""
    return [int(size * shares[0]), int(size * (shares[0] + shares[1]))]
