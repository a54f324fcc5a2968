"""How often each word occurs in a text, counted once and cached.

A file holds the sha256 of all that follows, and then one word a line with its count.
"""

import hashlib
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from memlm.data.corpus import workers
from memlm.data.corpus.cache import WORTH_CACHING, cached
from memlm.data.corpus.reading import TextFile, count_words, read_words, size_of

FORMAT = "counts 1"  # goes up when the files or the rules of splitting change


def word_counts(text: TextFile) -> Counter[str]:
    """The words of a text with their counts, one `<eos>` per line included. Those of a large text are cached.

    Raises MemlmError as `memlm.data.corpus.reading.read_words` does.
    """
    if size_of(text) < WORTH_CACHING:
        return count_words(read_words(text))
    found = cached(text, FORMAT, ".counts", read=read_counts, make=lambda path: _make(text, path))
    return found or count_words(read_words(text))


def _make(text: TextFile, path: Path) -> None:
    if size_of(text) < workers.WORTH:
        write_counts(path, count_words(read_words(text)))
        return
    counts: Counter[str] = Counter()
    for part in workers.run("count", text, path.parent):
        found = read_counts(part)
        if found is None:
            raise OSError(f"{part} is damaged")
        counts.update(found)
    write_counts(path, counts)


def write_counts(path: Path, counts: Counter[str]) -> None:
    """Write counts to a file."""
    lines = "".join(f"{count} {word}\n" for word, count in counts.most_common()).encode()
    with path.open("wb") as file:
        file.write(hashlib.sha256(lines).digest() + lines)
        file.flush()
        os.fsync(file.fileno())


def read_counts(path: Path) -> Counter[str] | None:
    """Inverse of `write_counts`; None if the file is missing, cut off or damaged."""
    with suppress(OSError):
        whole = path.read_bytes()
        lines = whole[hashlib.sha256().digest_size :]
        if hashlib.sha256(lines).digest() + lines == whole:
            pairs = (line.split(" ") for line in lines.decode().removesuffix("\n").split("\n"))
            return Counter({word: int(count) for count, word in pairs})
    return None
