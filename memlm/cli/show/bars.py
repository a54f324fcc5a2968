"""The bar of a training at the terminal."""

from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class BarDisplay:
    """A bar on standard error while its `with` block lasts, where that is a terminal; hidden until it is moved on.

    `title` and `figures` are its texts, with `fields` in them at their first values.
    """

    def __init__(self, title: str, figures: str, **fields: Any) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn(title),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(figures),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, visible=False, **fields)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
