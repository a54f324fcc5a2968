"""Files written whole or not at all, and locks between processes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def lock(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, which is made for it and removed after it.

    If another process (or thread) holds it, `busy` is called once, and then waited; what `busy` raises ends that.
    Raises OSError where the file can't be made, or on a file system without locks.
    """
    descriptor = _taken(path, busy)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _taken(path: Path, busy: Callable[[], None]) -> int:
    """A descriptor of the file that is at `path` now, locked: who held it before has removed his."""
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    busy()
                    told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
