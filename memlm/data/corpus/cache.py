"""What is made of a text once and kept in `encoded/` in the data folder, for all who read that text.

A file is named by what it was made of, so none goes stale, and any may be deleted at any time; of several processes
one makes it, and the others wait.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from memlm.data.corpus.reading import TextFile, sha256_of
from memlm.data.place import data_root, making
from memlm.errors import MemlmError

WORTH_KEEPING = 1 << 20  # bytes of text; what is made of a smaller one is made faster than anyone would notice

Made = TypeVar("Made")


def kept(
    text: TextFile, made_of: str, suffix: str, *, read: Callable[[Path], Made | None], make: Callable[[Path], None]
) -> Made | None:
    """What `read` finds in the file that `make` makes, of the text's content and of what `made_of` tells.

    `read` gives None for a file that is none or is damaged; `make` makes a file in a folder of its own, in which it
    may leave others. None where nothing can be kept. Raises MemlmError for a text that changes meanwhile.
    """
    content = sha256_of(text)
    key = hashlib.sha256(f"{made_of} {content}".encode()).hexdigest()
    place = data_root() / "encoded" / f"{key}{suffix}"
    if found := read(place):
        return found
    with suppress(OSError), making(place, f"reading {text.path}") as scratch:
        if found := read(place):
            return found
        new = scratch / place.name
        make(new)
        if sha256_of(text) != content:
            raise MemlmError(f"{text.path} changed while it was read: try again")
        new.replace(place)
        return read(place)
    return None
