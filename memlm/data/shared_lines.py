"""Lines that stand both in the training text and in one to be scored: what a model may know by heart.

Lines are compared by hashes of eight bytes, white space apart. Those of the text to be scored are in memory; the
training text is read once, in blocks.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memlm.data.corpus import BLOCK, TextFile, opened, size_of

WORDS = 5  # of the shortest line that counts: shorter ones are the same by chance
LONGEST = 1 << 20  # bytes of the longest

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class SharedLines:
    """Of the distinct lines of a text that are long enough, how many the training text has too."""

    compared: int
    shared: int

    @property
    def share(self) -> float:
        """0 where there is no line to compare."""
        return self.shared / self.compared if self.compared else 0.0


def shared_lines(train: TextFile, others: Sequence[TextFile]) -> list[SharedLines]:
    """For each of the other texts, the lines it has in common with the training text."""
    known = [np.unique(np.concatenate([np.empty(0, np.uint64), *_hashes(text)])) for text in others]
    found = [np.zeros(len(lines), bool) for lines in known]
    for block in _hashes(train):
        for lines, is_found in zip(known, found, strict=True):
            if len(lines):
                places = np.minimum(np.searchsorted(lines, block), len(lines) - 1)
                is_found[places[lines[places] == block]] = True
    return [SharedLines(compared=len(lines), shared=int(hits.sum())) for lines, hits in zip(known, found, strict=True)]


def _hashes(text: TextFile) -> Iterator[Hashes]:
    """The lines that count, a block of them after the other."""
    for lines in _lines(text):
        parts = (line.split() for line in lines if len(line) <= LONGEST)
        digests = [hashlib.blake2b(b" ".join(words), digest_size=8).digest() for words in parts if len(words) >= WORDS]
        yield np.frombuffer(b"".join(digests), np.uint64)


def _lines(text: TextFile) -> Iterator[list[bytes]]:
    """The lines in blocks; of one that is too long to count, some piece that is too long as well."""
    left, rest = size_of(text), b""
    with opened(text.path) as file:
        file.seek(text.start)
        while left > 0 and (data := file.read(min(BLOCK, left))):
            left -= len(data)
            *lines, last = data.split(b"\n")
            if lines:
                yield [rest + lines[0], *lines[1:]]
                rest = last
            elif len(rest) <= LONGEST:
                rest += last
    yield [rest]
