"""`memlm bench`."""

from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.show import tables
from memlm.cli.show.plots import plot_options
from memlm.config.settings import DEVICES
from memlm.errors import MemlmError

TASKS = ("lm", "babi")


@click.command("bench")
@click.option(
    "--task", type=click.Choice(TASKS), default="lm", show_default=True, help="lm: language modelling; babi: questions"
)
@click.option(
    "--rounds", type=click.IntRange(1), default=15, show_default=True, help="how often each case is measured"
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="where to compute")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@plot_options("plot the times")
def command(task: str, rounds: int, device: str, as_json: bool, plot: Path | None, overwrite: bool) -> None:
    """Measure the speed of this machine: memlm against the per-window formulation and against the floor.

    It also compares the adaptive softmax with the full softmax, and restarts trained side by side with restarts
    trained one after another.

    With --task babi, it compares ten restarts trained side by side with the same restarts one after another.

    The cases take turns in one process, and the results are medians. Run nothing else on the machine meanwhile.
    """
    from rich.console import Console
    from rich.progress import Progress

    from memlm.diagnostics import bench
    from memlm.diagnostics.bench import babi
    from memlm.diagnostics.bench import plot as picture
    from memlm.evaluation.plots import pictures

    if plot is not None:
        if task == "babi":
            raise MemlmError("--plot is only for --task lm: leave it out with --task babi")
        pictures.check_file(plot, overwrite=overwrite)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        measure: Any = babi if task == "babi" else bench
        bar = progress.add_task("measuring", total=measure.turns(rounds))
        result: dict[str, Any] = measure.run(
            rounds=rounds, device=device, tick=lambda done, total: progress.update(bar, completed=done, total=total)
        )
    if plot is not None:
        picture.save_plot(result, plot)
    if as_json:
        click.echo(jsontext.dumps(result, indent=1))
    else:
        _print(result, measure.RATIOS)


def _print(result: dict[str, Any], ratios: dict[str, tuple[str, str]]) -> None:
    """Print the ratios with their targets, the times behind them, and how the time of a step grows."""
    from memlm.diagnostics.bench.plot import TITLES

    environment = result["environment"]
    click.echo(f"{environment['cpu']}, {environment['threads']} threads, torch {environment['torch']}")
    rows = [(key, what, _with_unit(result[key], aim), aim) for key, (what, aim) in ratios.items()]
    tables.show(("key", "what", "measured", "aim on 2 cores"), rows)
    tables.show(("case", "ms"), [(name, f"{value:.2f}") for name, value in result["milliseconds"].items()])
    for scale, points in result.get("scaling", {}).items():
        shown = "   ".join(f"{point['value']:,}: {point['milliseconds']:.1f}" for point in points)
        click.echo(f"ms per step by {TITLES[scale]}:  {shown}")


def _with_unit(value: float, aim: str) -> str:
    if aim.endswith("%"):
        return f"{100 * value:.0f} %"
    return f"{value:.2f} x" if aim.endswith("x") else f"{value:.0f}"
