"""`memlm bench`."""

import json
from pathlib import Path
from typing import Any

import click

from memlm.config import DEVICES


@click.command("bench")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="times each case is measured")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="where")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="draw the figures (png, svg or pdf)")
def command(rounds: int, device: str, as_json: bool, plot: Path | None) -> None:
    """Speed of this machine: memlm against the per-window formulation and against the floor.

    All in one process and taking turns, medians; leave the machine alone meanwhile.
    """
    from rich.console import Console
    from rich.progress import Progress

    from memlm import bench
    from memlm.bench import show

    if plot is not None:
        show.check_plot_file(plot)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=bench.turns(rounds))
        result: dict[str, Any] = bench.run(rounds=rounds, device=device, tick=lambda: progress.advance(task))
    if plot is not None:
        show.plot(result, plot)
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        show.table(result)
