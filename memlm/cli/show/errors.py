"""Tables of question-answering errors by task, beside those of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.show import tables
from memlm.config.paper import FAILED_ABOVE
from memlm.errors import MemlmError

SUPPORT = "support: questions for which a hop gives most weight to a sentence that supports the answer"


def evaluate(
    run: Path, split: str, protocol: str, device: str, *, text_options: Mapping[str, object], as_json: bool
) -> None:
    """`memlm eval` for a question-answering run. Raises MemlmError if one of the `text_options` is given."""
    from memlm.inference.load import load_tasks

    for option, value in text_options.items():
        if value:
            raise MemlmError(f"{run} answers questions: leave out --{option}, which is only for language models")
    model = load_tasks(run, device=device)
    result = model.evaluate(split, protocol=protocol)
    if as_json:
        click.echo(jsontext.dumps(result.to_dict()))
    else:
        show(result)
    model.record(result)


def show(result: Mapping[str, Any]) -> None:
    """Print one row per task, with the error in percent. For several tasks, add the mean and how many fail."""
    names, paper, support = result["names"], result["paper"], result["support"]
    columns = {"task": _labels(names), "error %": _errors(result, names)}
    if paper:
        columns[f"paper, {paper['column']}"] = _errors(paper, names)
    if _attends(support):
        columns["support %"] = [*_shares(support, names), "", ""]
    rows = list(zip(*columns.values(), strict=True))
    together = ", all tasks together" if result["joint"] else ""
    click.echo(f"{result['label']} on {result['dataset']} {result['split']}, {result['size']} per task{together}")
    tables.show(list(columns), rows if len(names) > 1 else rows[:1])
    if result["absent"]:
        click.echo(f"not in this run: task {', '.join(map(str, result['absent']))}")
    if _attends(support):
        click.echo(SUPPORT)


def show_beside_the_paper(found: Mapping[str, Any], tasks: Sequence[str]) -> None:
    """Print Table 1 with one row per task: the errors of the paper and the measured ones, then the support."""
    names = {str(number): name for number, name in enumerate(tasks, 1)}
    errors, support = {"error %": _labels(names)}, {"support %": _labels(names)[: len(names)]}
    for column, part in found.items():
        errors[f"{column}, paper{' (quoted)' if part['quoted'] else ''}"] = _errors(part["paper"], names)
        if own := part["measured"]:
            errors[f"{column}, measured"] = _errors(own, names)
            if _attends(own["support"]):
                support[column] = _shares(own["support"], names)
    tables.show(list(errors), list(zip(*errors.values(), strict=True)))
    if len(support) > 1:
        tables.show(list(support), list(zip(*support.values(), strict=True)))
        click.echo(SUPPORT)
    for column, part in found.items():
        if part["absent"]:
            absent = ", ".join(map(str, part["absent"]))
            click.echo(f"{column}: task {absent} is not in the data at hand, nor in its mean; the paper's is left out")


def show_together(results: Sequence[Mapping[str, Any]]) -> None:
    """Print one row per task and one column per run, with the errors in percent."""
    columns = [_labels(results[0]["names"]), *(_errors(result, results[0]["names"]) for result in results)]
    tables.show(("error %", *(result["run"] for result in results)), list(zip(*columns, strict=True)))


def _labels(names: Mapping[str, str]) -> list[str | None]:
    """The names of the rows: the tasks, the mean error, the failed tasks."""
    return [*(f"{task}: {name}" for task, name in names.items()), "mean error", f"failed tasks (> {FAILED_ABOVE:g} %)"]


def _errors(figures: Mapping[str, Any], names: Mapping[str, str]) -> list[str | None]:
    """The cells of a column: the errors of the tasks in percent, their mean, and how many fail. None is unknown."""
    errors = [*((figures["tasks"] or {}).get(task) for task in names), figures["mean_error"]]
    failed = figures["failed_tasks"]
    return [*(None if error is None else f"{error:.1f}" for error in errors), None if failed is None else str(failed)]


def _attends(support: Mapping[str, float | None]) -> bool:
    """Whether the support of any task is known."""
    return any(share is not None for share in support.values())


def _shares(support: Mapping[str, float | None], names: Mapping[str, str]) -> list[str | None]:
    """The cells of a column: the support of the tasks in percent."""
    shares = [support.get(task) for task in names]
    return [None if share is None else f"{100 * share:.1f}" for share in shares]
