"""`memlm reproduce`."""

from pathlib import Path
from typing import Any

import click

from memlm import jsontext


@click.group("reproduce")
def command() -> None:
    """Measure a table of the paper again, beside its figures."""


@command.command("table1")
@click.option("--columns", default="pe-ls-rn", show_default=True, help="names of `memlm recipes`, with commas, or all")
@click.option("--restarts", type=click.IntRange(1), default=10, show_default=True, help="of each model")
@click.option("--size", type=click.Choice(["1k", "10k"]), default="1k", show_default=True, help="questions a task")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="of the first restart")
@click.option(
    "--run-dir", type=click.Path(path_type=Path), help="folder of the columns' runs  [default: runs/table1-SIZE]"
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def table1(columns: str, restarts: int, size: str, seed: int, run_dir: Path | None, as_json: bool) -> None:
    """Test errors of bAbI's tasks, the paper's column beside the measured one.

    Each column is a run in --run-dir, and what is done is not done again: Ctrl-C stops after the step, the same
    command goes on.
    """
    from memlm.cli import qa_session, tables
    from memlm.cli.train import SignalRequests
    from memlm.data.tasks import task_names
    from memlm.qa import table
    from memlm.recipes_qa import QA_RECIPES

    names = list(QA_RECIPES) if columns == "all" else columns.split(",")
    configs = {name: table.column_config(name, size=size, restarts=restarts, seed=seed) for name in names}
    folder = run_dir or Path("runs") / f"table1-{size}"
    measured: dict[str, dict[str, Any]] = {}
    with SignalRequests() as requests:
        requests.heed_stops()
        for name, config in configs.items():
            with qa_session.Display(config, to_stderr=as_json) as display:
                display.say(f"column {name}: run {folder / name}")
                summary = table.reproduce(folder / name, config, display, requests.stop)
            if summary is None:
                click.echo("stopped; nothing is lost: the same command goes on", err=True)
                raise SystemExit(requests.exit_status)
            measured[name] = summary
    found = table.compare(measured, size)
    if as_json:
        click.echo(jsontext.dumps({"size": size, "restarts": restarts, "seed": seed, "columns": found}, indent=1))
        return
    header = ["task", *(f"{name}, {kind}" for name in found for kind in ("paper", "measured"))]
    tables.show(header, table.rows(found, task_names("babi")))
    for name, part in found.items():
        if part["absent"]:
            click.echo(
                f"{name}: task {', '.join(map(str, part['absent']))} is not in the data at hand, nor in its mean"
            )
