"""`memlm compare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.show import errors, tables
from memlm.cli.show.plots import plot_options
from memlm.config.data import UNITS
from memlm.config.settings import PROTOCOLS
from memlm.errors import MemlmError
from memlm.format import shown


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), default="exact", show_default=True, help="protocol of the scores"
)
@click.option("--json", "as_json", is_flag=True, help="print a JSON list, one object per run")
@plot_options("plot the perplexity of the runs by epoch")
def command(runs: tuple[Path, ...], protocol: str, as_json: bool, plot: Path | None, overwrite: bool) -> None:
    """Compare runs: the perplexities of their best checkpoints, and whether each run differs from the first.

    A paired bootstrap over blocks of words tests the difference. It is about these trained models: the same settings
    with another seed give another model. If tokens are parts of words in one of the runs, perplexities are per word,
    so that they are comparable. The texts and the protocol of the scores must agree. Question-answering runs are
    compared by their errors in each task.
    """
    from memlm.evaluation.plots import pictures
    from memlm.experiments.compare import TextComparison, compare

    if plot is not None:
        pictures.check_file(plot, overwrite=overwrite)
    found = compare(*runs, protocol=protocol)
    if not isinstance(found, TextComparison):
        if plot is not None:
            raise MemlmError("runs of question answering have no plot: leave out --plot")
        if not as_json:
            errors.show_together(found.rows)
    else:
        if plot is not None:
            pictures.save(found.learning_curves(), plot)
        if not as_json:
            _print_table(found.rows)
            for line in found.lines():
                click.echo(line)
    if as_json:
        click.echo(jsontext.dumps(found.to_dict(), indent=1))


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one row per run. If tokens are parts of words, add columns about the tokens of the test split."""
    from memlm.format import duration

    columns = ["run", "model", "parameters", "valid ppl", "test ppl", "epochs", "time"]
    cells: list[list[object]] = [
        [
            row["run"],
            row["model"],
            row["parameters"],
            shown(row["valid_word_perplexity"]),
            shown(row["test_word_perplexity"]),
            row["epochs"],
            duration(row["seconds"]),
        ]
        for row in rows
    ]
    if rows[0]["valid_floor"] is not None:
        cells.append(["", "entropy floor", "", shown(rows[0]["valid_floor"]), shown(rows[0]["test_floor"]), "", ""])
    title = f"{rows[0]['dataset']}, protocol {rows[0]['protocol']}"
    if any(row["tokenizer"] != "words" for row in rows):
        columns += ["tokens", "test ppl per token", "test bits per character", "test tokens"]
        for line, row in zip(cells, rows, strict=False):
            line += _token_cells(row)
        cells = [line + [""] * (len(columns) - len(line)) for line in cells]
        counts = f"test has {rows[0]['test_words']:,} words and {rows[0]['test_characters']:,} characters"
        title += f"; perplexity per word, with one <eos> per line; {counts}"
    tables.show(columns, cells, title=title)


def _token_cells(row: Mapping[str, Any]) -> list[object]:
    unit = UNITS[row["tokenizer"]]
    return [
        f"{row['vocabulary_size']:,} {unit}s" + (f" ({row['pieces']})" if unit == "piece" else ""),
        shown(row["test_perplexity"]),
        f"{row['test_bits_per_character']:.3f}",
        row["test_tokens"],
    ]
