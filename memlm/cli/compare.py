"""`memlm compare`."""

from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli import tables
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
    from memlm.report import duration

    columns = ("run", "model", "parameters", "valid ppl", "test ppl", "epochs", "time")
    cells: list[tuple[object, ...]] = [
        (
            row["run"],
            row["model"],
            row["parameters"],
            f"{row['valid_perplexity']:.2f}",
            f"{row['test_perplexity']:.2f}",
            row["epochs"],
            duration(row["seconds"]),
        )
        for row in rows
    ]
    if rows[0]["valid_floor"] is not None:
        cells.append(
            ("", "entropy floor", "", f"{rows[0]['valid_floor']:.2f}", f"{rows[0]['test_floor']:.2f}", "", "")
        )
    tables.show(columns, cells, title=f"{rows[0]['dataset']}, protocol {rows[0]['protocol']}")
