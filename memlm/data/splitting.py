"""One file as train, valid and test: by shares of its bytes, cut where a line ends, or a word of a text of one line.

Nothing is copied: a split is the file's bytes from one place to another. Where it ends within the line, an `<eos>`
ends it all the same, as if it were a file of its own.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from memlm.config_data import shares_of
from memlm.data.corpus import TextFile, opened, size_of
from memlm.data.entries import SPLITS
from memlm.data.ranges import border_after
from memlm.errors import MemlmError

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
