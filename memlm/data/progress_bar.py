"""A progress bar and a spinner for work on files, shown on standard error if that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[int, int | None], None]  # bytes done, and of how many if that is known


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """A spinner, for work of unknown length."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield


@contextmanager
def bar(label: str, *, after: float = 0.0) -> Iterator[Tick]:
    """A progress bar in bytes; yields `tick(done, total)`. It appears once the work has taken `after` seconds."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task, began = progress.add_task(label, total=None), time.monotonic()

    def tick(done: int, total: int | None) -> None:
        progress.update(task, completed=done, total=total)
        if not progress.live.is_started and time.monotonic() - began >= after:
            progress.start()

    if after == 0:
        progress.start()
    try:
        yield tick
    finally:
        progress.stop()
