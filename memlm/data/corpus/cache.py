"""Files derived from a text, made once and cached in `encoded/` in the data folder.

A file's name is a hash of what it was made from, so no file is ever out of date, and any file may be deleted at any
time. One process makes a file; the others wait.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from memlm.data.corpus.reading import TextFile, sha256_of
from memlm.data.storage import data_root, scratch_folder
from memlm.errors import MemlmError

WORTH_CACHING = 1 << 20  # bytes of text: a smaller text is read again in no time

Made = TypeVar("Made")


def cached(
    text: TextFile, made_from: str, suffix: str, *, read: Callable[[Path], Made | None], make: Callable[[Path], None]
) -> Made | None:
    """What `read` returns for the cached file, which `make` writes first if need be.

    The key is the text's content and `made_from`. `read` returns None if the file is missing or damaged. `make` writes
    it in a scratch folder. The result is None if nothing can be cached. Raises MemlmError if the text changes
    meanwhile.
    """
    content = sha256_of(text)
    key = hashlib.sha256(f"{made_from} {content}".encode()).hexdigest()
    path = data_root() / "encoded" / f"{key}{suffix}"
    if found := read(path):
        return found
    with suppress(OSError), scratch_folder(path, f"reading {text.path}") as scratch:
        if found := read(path):
            return found
        new = scratch / path.name
        make(new)
        if sha256_of(text) != content:
            raise MemlmError(f"{text.path} changed while it was read: try again")
        new.replace(path)
        return read(path)
    return None
