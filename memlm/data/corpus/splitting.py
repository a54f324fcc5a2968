"""Cut a text into ranges at the borders of lines or words, and a file into splits."""

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

# After a line feed, or a space after a letter that is surely none: no word is cut, and it is known whether a line is.
BETWEEN_WORDS = re.compile(rb"\n|[!-~] ")


def border_after(file: BufferedReader, border: re.Pattern[bytes], place: int, end: int) -> int:
    """Where the first border ends, at `place` or later; `end` where there is none before it."""
    at = file.seek(max(0, place - 1))
    while at < end and (data := file.read(min(BLOCK, end - at))):
        if found := border.search(data):
            return at + found.end()
        at += len(data)
    return end


def cut(text: TextFile, count: int) -> list[TextFile]:
    """At most `count` pieces of about the same size, in order; read one after the other they give the text's words."""
    size = size_of(text)
    end = text.start + size
    with opened(text.path) as file:
        wanted = [text.start + max(1, size * i // count) for i in range(1, count)]  # what is before it counts nothing
        inner = {border_after(file, BETWEEN_WORDS, place, end) for place in wanted}
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
    """Train, valid and test of a file, of these shares, in this order.

    Each share ends with the line that its last byte is in; of a text of one line, with the word. Raises MemlmError
    for a file that can't be read, and where a split would be empty.
    """
    size = size_of(TextFile(path))
    if size == 0:
        raise MemlmError(f"{path} is empty")
    border, what = (WORD, "words") if is_one_line(path) else (LINE, "lines")
    with opened(path) as file:
        cuts = [0, *(border_after(file, border, place, size) for place in _places(shares_of(shares), size)), size]
    splits = {split: TextFile(path, cuts[i], cuts[i + 1]) for i, split in enumerate(SPLITS)}
    for split, text in splits.items():
        if size_of(text) == 0:
            raise MemlmError(f"{path} can't be split {shares} at the ends of {what}: nothing is left for {split}")
    return splits


def is_one_line(path: Path) -> bool:
    """Whether no line feed stands in the file but at its end."""
    size = size_of(TextFile(path))
    with opened(path) as file:
        return border_after(file, LINE, 0, size) == size


def _places(shares: Sequence[Fraction], size: int) -> list[int]:
    """How many bytes the first share has, and the first two."""
    return [int(size * shares[0]), int(size * (shares[0] + shares[1]))]
