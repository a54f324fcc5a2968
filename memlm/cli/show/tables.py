"""Tables on standard output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


PIPE_WIDTH = 200  # columns if the output is not a terminal: no path is cut


def show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table. Numbers are aligned right, and no value is cut. A float has 4 decimals; pass text for others."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        right = any(_is_number(row[i]) for row in rows)
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console().print(table)


def console() -> "Console":
    """Standard output. If it is not a terminal, it is PIPE_WIDTH wide."""
    from rich.console import Console

    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = PIPE_WIDTH
    return output


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value[:1].isdigit() and " " not in value)


def _cell(value: object) -> "str | Text":
    from rich.markup import escape
    from rich.text import Text

    if value is None:
        return "-"
    if isinstance(value, Text):
        return value
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
