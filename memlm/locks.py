"""Locks between processes. The operating system holds them, so one whose process was killed is free at once."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
