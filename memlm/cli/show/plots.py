"""The options --plot and --overwrite of the commands that draw a plot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def plot_options(what: str) -> Callable[[Command], Command]:
    """Add --plot, whose help text is `what`, and --overwrite."""

    def add(command: Command) -> Command:
        command = click.option("--overwrite", is_flag=True, help="replace the file of --plot if it exists")(command)
        place = click.Path(path_type=Path)
        return click.option("--plot", type=place, metavar="FILE", help=f"{what} (png, svg or pdf)")(command)

    return add
