"""`memlm compare`."""

from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.config import PROTOCOLS


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="exact", show_default=True, help="of the scores")
@click.option("--json", "as_json", is_flag=True, help="a JSON list, one object a run")
def command(runs: tuple[Path, ...], protocol: str, as_json: bool) -> None:
    """Runs side by side: perplexities of their best states.

    Refused if dataset, vocabulary or protocol differ: such perplexities do not compare.
    """
    from memlm import report

    rows = report.compare(runs, protocol=protocol)
    if as_json:
        click.echo(jsontext.dumps(rows, indent=1))
        return
    _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from memlm.report import duration

    title = f"{rows[0]['dataset']}, protocol {rows[0]['protocol']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for name in ("parameters", "valid ppl", "test ppl", "epochs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        figures = [f"{row['valid_perplexity']:.2f}", f"{row['test_perplexity']:.2f}", str(row["epochs"])]
        table.add_row(row["run"], row["model"], f"{row['parameters']:,}", *figures, duration(row["seconds"]))
    if rows[0]["valid_floor"] is not None:
        table.add_row("", "entropy floor", "", f"{rows[0]['valid_floor']:.2f}", f"{rows[0]['test_floor']:.2f}", "", "")
    console = Console()
    console.print(table, width=None if console.is_terminal else 160)
