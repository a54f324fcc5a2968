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
    "--story", type=click.Path(path_type=Path), metavar="FILE", help="its sentences  [default: standard input]"
)
@click.option(
    "--task", type=click.IntRange(1), help="whose model answers, in a run of several  [default: the only one]"
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@plot_options("draw what each hop looks at")
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
    """Ask a trained model a QUESTION about a story, and see what each hop looked at.

    The story's lines may have bAbI's numbers. If it asks this question itself, with answer and supporting sentences,
    these are shown as well.

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
        raise MemlmError("there is no story: give --story, or one on standard input")
    return sys.stdin.buffer.readlines()


def _print(answer: "Answer") -> None:
    """The paper's Figure 2: sentences down, support and hops across; then the question and its answer."""
    from memlm.evaluation.plots.story import NOTHING, WRITTEN_FROM

    told = answer.supporting is not None
    support = ["yes" if supports else "" for supports in answer.supporting] if answer.supporting is not None else []
    columns = ["story", *(["support"] if told else [])]
    rows: list[list[object]] = [[said, *support[s : s + 1]] for s, said in enumerate(answer.sentences)]
    if answer.attention is not None and answer.nothing is not None:
        columns += [f"hop {k + 1}" for k in range(len(answer.attention))]
        for row, weights in zip(rows, answer.attention.T, strict=True):
            row += [f"{weight:.2f}" for weight in weights]
        if answer.nothing.max() >= WRITTEN_FROM:
            rows.append([NOTHING, *([""] if told else []), *(f"{weight:.2f}" for weight in answer.nothing)])
    tables.show(columns, rows)
    if answer.forgotten:
        click.echo(f"not in memory: the first {answer.forgotten} sentences of the story")
    click.echo(f"question     {answer.question}?")
    if answer.expected is not None:
        click.echo(f"answer       {answer.expected}")
    click.echo(f"prediction   {answer.answer}")
    click.echo(f"probability  {answer.probability:.2f}")
