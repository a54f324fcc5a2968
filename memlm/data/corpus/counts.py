"""How often each word stands in a text, counted once: a file of a line a word with its count, after their sha256."""

import hashlib
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from memlm.data.corpus import workers
from memlm.data.corpus.cache import WORTH_KEEPING, kept
from memlm.data.corpus.reading import TextFile, count_words, read_words, size_of

FORMAT = "counts 1"  # goes up when the files or the rules of splitting change


def word_counts(text: TextFile) -> Counter[str]:
    """The words of a text with their counts, `<eos>` a line among them; those of a large one from the data folder.

    Raises MemlmError as `memlm.data.corpus.reading.read_words` does.
    """
    if size_of(text) < WORTH_KEEPING:
        return count_words(read_words(text))
    found = kept(text, FORMAT, ".counts", read=read, make=lambda place: _make(text, place))
    return found or count_words(read_words(text))


def _make(text: TextFile, place: Path) -> None:
    if size_of(text) < workers.WORTH:
        write(place, count_words(read_words(text)))
        return
    counts: Counter[str] = Counter()
    for part in workers.run("count", text, place.parent):
        found = read(part)
        if found is None:
            raise OSError(f"{part} is damaged")
        counts.update(found)
    write(place, counts)


def write(place: Path, counts: Counter[str]) -> None:
    """Keep counts in a file."""
    lines = "".join(f"{count} {word}\n" for word, count in counts.most_common()).encode()
    with place.open("wb") as file:
        file.write(hashlib.sha256(lines).digest() + lines)
        file.flush()
        os.fsync(file.fileno())


def read(place: Path) -> Counter[str] | None:
    """Inverse of `write`; None if there is no such file, or not a whole one with its own hash."""
    with suppress(OSError):
        whole = place.read_bytes()
        lines = whole[hashlib.sha256().digest_size :]
        if hashlib.sha256(lines).digest() + lines == whole:
            pairs = (line.split(" ") for line in lines.decode().removesuffix("\n").split("\n"))
            return Counter({word: int(count) for count, word in pairs})
    return None
