"""Files that are on the disk, whole, or not there at all."""

import os
from contextlib import suppress
from pathlib import Path

from memlm.errors import MemlmError


def write_whole(path: Path, data: bytes) -> None:
    """The file with these bytes, on the disk; the one before it stays until then.

    Raises MemlmError where that fails, with nothing half-written left behind.
    """
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(exist_ok=True)
        write_synced(new, data)
        new.replace(path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise MemlmError(f"cannot write {path}: {reason(error)}") from None


def write_synced(path: Path, data: bytes) -> None:
    """Write bytes and wait until the disk has them. Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Wait until the disk has the folder's entries: a rename is not there for good before that. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Why an operation failed, in the system's words: `No space left on device`, `File too large`."""
    return error.strerror or str(error)
