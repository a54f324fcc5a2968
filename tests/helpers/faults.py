"""A disk that fails: the n-th write, sync, rename or new folder of what memlm writes raises an error."""

import io
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OPERATIONS = ("fsync", "rename", "replace", "mkdir", "ftruncate")


class FailingFile:
    """A file whose writes are counted, and fail in their turn with half of the data written."""

    def __init__(self, file: Any, tick: Callable[[], None]) -> None:
        self._file, self._tick = file, tick

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "FailingFile":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def write(self, data: Any) -> Any:
        try:
            self._tick()
        except OSError:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            raise
        return self._file.write(data)


@contextmanager
def _watched(monkeypatch: pytest.MonkeyPatch, tick: Callable[[], None]) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name in OPERATIONS:
            real = getattr(os, name)

            def watched(*args: Any, _real: Any = real, **kwargs: Any) -> Any:
                tick()
                return _real(*args, **kwargs)

            patch.setattr(os, name, watched)
        opened = io.open

        def watched_open(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            stream = opened(file, mode, *args, **kwargs)
            return FailingFile(stream, tick) if {"w", "a"} & set(mode) else stream

        patch.setattr(pathlib.io, "open", watched_open)  # type: ignore[attr-defined]
        yield


def count_disk_calls(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> int:
    """How many operations the work takes that can fail."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    with _watched(monkeypatch, tick):
        work()
    return count


@contextmanager
def fail_disk_call(monkeypatch: pytest.MonkeyPatch, failing: int, code: int, *, kill: bool = False) -> Iterator[None]:
    """From operation number `failing`, counted from 0, on, each one fails: a disk that is full stays full.

    With `kill` the process is killed there instead.
    """
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count > failing and kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if count > failing:
            raise OSError(code, os.strerror(code))

    with _watched(monkeypatch, tick):
        yield


def disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed from now on, in order."""
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(path: Path, target: Any) -> Path:
        done.append(f"rename {path.name} to {Path(target).name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", renamed)
    return done
