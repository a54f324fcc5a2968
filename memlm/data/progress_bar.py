"""A bar or a spinner for work on files, on standard error if that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """A sign of life beside work of which nobody knows how much is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield


@contextmanager
def bar(label: str, total: int | None, *, after: float = 0.0) -> Iterator[Callable[[int], None]]:
    """A bar of `total` bytes; yields what moves it on. It is shown once the work has taken `after` seconds."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task, began = progress.add_task(label, total=total), time.monotonic()

    def advance(count: int) -> None:
        progress.advance(task, count)
        if not progress.live.is_started and time.monotonic() - began >= after:
            progress.start()

    if after == 0:
        progress.start()
    try:
        yield advance
    finally:
        progress.stop()
