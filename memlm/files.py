"""Write files whole or not at all, and lock files between processes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memlm.errors import MemlmError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically and durably. The previous file stays in place until the new one is on disk.

    Raises MemlmError if that fails, and leaves nothing half-written behind.
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
    """Write bytes and wait until they are on disk. Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Wait until the folder's entries are on disk: only then is a rename durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Why an operation failed, in the words of the operating system: `No space left on device`."""
    return error.strerror or str(error)


@contextmanager
def lock(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on the file `path`, which is created for this purpose and removed afterwards.

    If another process (or thread) holds the lock, `busy` is called once before waiting. It may raise to give up.
    Raises OSError if the file can't be created, or if the file system has no locks.
    """
    descriptor = _acquire(path, busy)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path, busy: Callable[[], None]) -> int:
    """A locked descriptor of the file that is at `path` now. A previous holder may have removed the file meanwhile."""
    reported = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not reported:
                    busy()
                    reported = True
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
