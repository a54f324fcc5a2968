"""`memlm ask`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memlm import jsontext
from memlm.cli.options import device_option
from memlm.cli.show import tables
from memlm.cli.show.plots import plot_options
from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.evaluation.answers import Answer


@click.command("ask")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("question")
@click.option(
    "--story", type=click.Path(path_type=Path), metavar="FILE", help="file with the story  [default: standard input]"
)
@click.option(
    "--task",
    type=click.IntRange(1),
    help="task whose model answers, if the run has several models  [default: the only one]",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@plot_options("draw what each hop attends to")
def command(
    run: Path,
    question: str,
    story: Path | None,
    task: int | None,
    device: str,
    as_json: bool,
    plot: Path | None,
    overwrite: bool,
) -> None:
    """Ask a trained model a QUESTION about a story, and see what each hop attends to.

    The story has one sentence per line; lines may be numbered as in bAbI. If the story contains the same question with
    its answer and supporting sentences, these are shown too.

    \b
    memlm ask runs/babi-task-2-1k-memn2n-qa-3x20 --story story.txt "Where is the apple?"
    """
    from memlm.evaluation.plots import pictures
    from memlm.evaluation.plots import story as picture
    from memlm.inference.load import load_tasks

    if plot is not None:
        pictures.check_file(plot, overwrite=overwrite)
    model = load_tasks(run, device=device, task=task)
    answer = model.ask_lines(_read(story), question, source=str(story or "standard input"), task=task)
    if plot is not None:
        pictures.save(picture.attention_over_story(answer), plot)
    if as_json:
        click.echo(jsontext.dumps(answer.to_dict() | {"run": str(run)}))
    else:
        _print(answer)


def _read(story: Path | None) -> list[bytes]:
    from memlm.data.corpus.reading import opened

    if story is not None:
        with opened(story) as file:
            return file.readlines()
    if sys.stdin.isatty():
        raise MemlmError("there is no story: give --story, or write the story to standard input")
    return sys.stdin.buffer.readlines()


def _print(answer: "Answer") -> None:
    """Print the paper's Figure 2: a row per sentence, a column per hop; then the question and the answers."""
    from memlm.evaluation.plots.story import NOTHING, WRITTEN_FROM

    has_support = answer.supporting is not None
    support = ["yes" if supports else "" for supports in answer.supporting] if answer.supporting is not None else []
    columns = ["story", *(["support"] if has_support else [])]
    rows: list[list[object]] = [[sentence, *support[s : s + 1]] for s, sentence in enumerate(answer.sentences)]
    if answer.attention is not None and answer.nothing is not None:
        columns += [f"hop {k + 1}" for k in range(len(answer.attention))]
        for row, weights in zip(rows, answer.attention.T, strict=True):
            row += [f"{weight:.2f}" for weight in weights]
        if answer.nothing.max() >= WRITTEN_FROM:
            rows.append([NOTHING, *([""] if has_support else []), *(f"{weight:.2f}" for weight in answer.nothing)])
    tables.show(columns, rows)
    if answer.forgotten:
        click.echo(f"not in memory: the first {answer.forgotten} sentences of the story")
    click.echo(f"question     {answer.question}?")
    if answer.expected is not None:
        click.echo(f"answer       {answer.expected}")
    click.echo(f"prediction   {answer.answer}")
    click.echo(f"probability  {answer.probability:.2f}")
