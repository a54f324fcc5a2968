"""`memlm compare`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memlm import jsontext
from memlm.cli.show import errors, tables
from memlm.cli.show.plots import plot_options
from memlm.config.data import UNITS
from memlm.config.settings import PROTOCOLS
from memlm.format import shown

if TYPE_CHECKING:
    from memlm.experiments.bootstrap import Difference


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="exact", show_default=True, help="of the scores")
@click.option("--json", "as_json", is_flag=True, help="a JSON list, one object a run")
@plot_options("draw the runs' perplexity by epoch")
def command(runs: tuple[Path, ...], protocol: str, as_json: bool, plot: Path | None, overwrite: bool) -> None:
    """Runs side by side: perplexities of their best states, and whether each differs from the first.

    A difference is told by a paired bootstrap over blocks of words. It speaks of these trained models: the same
    settings with another seed make another model. Where tokens are parts of words in any of the runs, perplexities
    are a word: they compare whatever the tokens are. Refused if the text or the protocol differs. Runs of question
    answering stand beside one another by their errors in each task.
    """
    from memlm.evaluation.plots import pictures
    from memlm.experiments import compare
    from memlm.runs.folder import RunFolder

    if any(RunFolder.open(run).manifest().answers_questions for run in runs):
        errors.compare(runs, plot, protocol, as_json=as_json)
        return
    if plot is not None:
        pictures.check_file(plot, overwrite=overwrite)
    rows = compare.compare_texts(runs, protocol=protocol)
    differences = compare.differences(runs, protocol=protocol)
    if plot is not None:
        pictures.save(compare.learning_curves(runs, rows), plot)
    if as_json:
        click.echo(
            jsontext.dumps([_with_differences(*pair) for pair in zip(rows, differences, strict=True)], indent=1)
        )
        return
    _print_table(rows)
    lines = compare.warnings(rows) + [
        difference if isinstance(difference, str) else in_words(difference, row["run"], rows[0]["run"], split)
        for row, by_split in zip(rows, differences, strict=True)
        for split, difference in by_split.items()
    ]
    for line in dict.fromkeys(lines):  # the reason why there is none may be the same for all
        click.echo(line)


def in_words(difference: "Difference", one: str, other: str, split: str) -> str:
    """A line that says which run is better on a split, and by how much, or that it can't be told."""
    from memlm.experiments.bootstrap import LEVEL

    interval = f"{100 * LEVEL:g} % interval"
    if not difference.told:
        return (
            f"no difference can be told between {other} and {one} on {split}: {one} has {_change(difference.nats)} "
            f"perplexity, {interval} {_change(difference.low)} to {_change(difference.high)}, probability "
            f"{_probability(difference.probability)} that it is better"
        )
    if difference.nats > 0:
        one, other, difference = other, one, difference.reversed
    return (
        f"{one} is better than {other} on {split}: {_change(difference.nats)} perplexity, {interval} "
        f"{_percent(difference.high)} to {_percent(difference.low)} %, "
        f"probability {_probability(difference.probability)}"
    )


def _percent(nats: float) -> str:
    """How much lower or higher a perplexity is, without the sign."""
    percent = math.inf if nats > 700 else 100 * abs(math.expm1(nats))
    return shown(percent, 1 if percent >= 1 else 2)


def _change(nats: float) -> str:
    return f"{_percent(nats)} % {'higher' if nats > 0 else 'lower'}"


def _probability(value: float) -> str:
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def _with_differences(row: dict[str, Any], by_split: dict[str, Any]) -> dict[str, Any]:
    told = {
        split: {"reason": difference} if isinstance(difference, str) else difference.figures()
        for split, difference in by_split.items()
    }
    return row | {"differences_from_first": told}


def _print_table(rows: list[dict[str, Any]]) -> None:
    """A row a run; where tokens are parts of words, with what they are and the counts of the test split."""
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
        columns += ["tokens", "test ppl a token", "test bits a character", "test tokens"]
        for line, row in zip(cells, rows, strict=False):
            line += _of_tokens(row)
        cells = [line + [""] * (len(columns) - len(line)) for line in cells]
        counts = f"test has {rows[0]['test_words']:,} words and {rows[0]['test_characters']:,} characters"
        title += f"; perplexity a word, an <eos> a line among them; {counts}"
    tables.show(columns, cells, title=title)


def _of_tokens(row: dict[str, Any]) -> list[object]:
    unit = UNITS[row["tokenizer"]]
    return [
        f"{row['vocabulary_size']:,} {unit}s" + (f" ({row['pieces']})" if unit == "piece" else ""),
        shown(row["test_perplexity"]),
        f"{row['test_bits_per_character']:.3f}",
        row["test_tokens"],
    ]
