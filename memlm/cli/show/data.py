"""The output of `memlm data info`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memlm.cli.show import tables
from memlm.config.data import DataConfig
from memlm.data.catalog.datasets import CATALOG, how_to_get
from memlm.data.catalog.entries import DataFile, Dataset
from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.data.description import Description


FACTS = ("name", "title", "about", "licence", "homepage", "mirrors", "split_rule")


def show(name: str, data: DataConfig, *, as_json: bool) -> None:
    """Print the facts of a dataset of the catalogue, a folder or a file: counts of its splits and tasks, warnings."""
    if name in CATALOG:
        _show_catalogued(CATALOG[name], data, as_json=as_json)
        return
    from memlm.data import dataset
    from memlm.data.description import describe_dataset

    found = describe_dataset(name, data)
    facts = {"name": dataset.full_name(name), "split_rule": dataset.split_rule(name, found.data)}
    if as_json:
        click.echo(json.dumps(facts | found.to_dict()))
        return
    click.echo(f"{facts['name']}: {facts['split_rule']}")
    _show_text(found)


def _show_catalogued(entry: Dataset, data: DataConfig, *, as_json: bool) -> None:
    from memlm.data.description import describe_dataset
    from memlm.data.fetch import get
    from memlm.data.storage import data_root

    there = get.is_present(entry.name) or entry.generated  # a generated dataset is made now
    if data != DataConfig():
        _check_settings_apply(entry, data, there=there)
    place = (get.get_dataset(entry.name) if there else data_root() / entry.name).absolute()
    found = describe_dataset(entry.name, data) if there and entry.is_text else None
    questions = _questions(entry, place) if there and not found else []
    tasks = _tasks(entry.name) if there else []
    if as_json:
        facts = {key: getattr(entry, key) for key in FACTS} | {"present": there, "place": str(place)}
        splits = found.to_dict() if found else {"splits": {row["split"]: row for row in questions}}
        click.echo(json.dumps(facts | splits | ({"tasks": tasks} if tasks else {})))
        return
    for label, text in (
        (entry.name, f"{entry.title}: {entry.about}"),
        ("licence", entry.licence),
        ("home", entry.homepage),
        ("mirrors", " ".join(entry.mirrors) or ("none: memlm generates it" if entry.generated else "none")),
        ("splits", entry.split_rule),
        ("place", str(place) if there else f"not there; run: {how_to_get(entry.name)}"),
    ):
        click.echo(f"{label:<8} {text}")
    if found:
        _show_text(found)
    for rows in (questions, tasks):
        if rows:
            tables.show([key.replace("_", " ") for key in rows[0]], [list(row.values()) for row in rows])


def _check_settings_apply(entry: Dataset, data: DataConfig, *, there: bool) -> None:
    """Raise MemlmError if the settings would have no effect."""
    from memlm.data import dataset

    if not entry.is_text:
        raise MemlmError(f"{entry.name} has questions: settings of a text do not apply")
    dataset.resolved_data(entry.name, data)
    if not there:
        raise MemlmError(
            f"{entry.name} is not there, so it can't be read with these settings; run: {how_to_get(entry.name)}"
        )


def _show_text(found: "Description") -> None:
    """Print the table of the splits of a text, its notes, and warnings."""
    from memlm.data.description import UNIGRAM, WORDS

    table: dict[str, list[object]] = {
        "split": [facts.split for facts in found.splits],
        "lines": [facts.lines for facts in found.splits],
        "words": [facts.words for facts in found.splits],
        "types": [facts.types for facts in found.splits],
        "tokens": [facts.tokens for facts in found.splits],
        "oov": [facts.oov for facts in found.splits],
        "oov %": [f"{100 * facts.oov_share:.2f}" for facts in found.splits],
        "unigram ppl": [f"{facts.unigram_perplexity:.2f}" for facts in found.splits],
        "shared lines": [_of(facts.shared_lines, facts.compared_lines) for facts in found.splits],
        "floor": [facts.floor_perplexity for facts in found.splits],
    }
    if table["tokens"] == table["words"]:
        del table["tokens"]
    if not any(table["floor"]):
        del table["floor"]
    tables.show(list(table), list(zip(*table.values(), strict=True)))
    own = vars(found.data).items() - vars(DataConfig()).items()
    settings = ", ".join(f"{name} {value}" for name, value in sorted(own))
    click.echo(f"vocabulary of {found.vocabulary:,}, from train only ({settings})")
    click.echo(f"unigram perplexity: {UNIGRAM}")
    click.echo(f"shared lines: different lines of {WORDS} words or more that are also in train")
    for warning in found.warnings():
        click.echo(f"Warning: {warning}", err=True)


def _of(part: int | None, whole: int | None) -> str | None:
    return None if part is None or whole is None else f"{part:,} of {whole:,}"


def _tasks(name: str) -> list[dict[str, Any]]:
    """One row per task of a question-answering dataset, for size 1k."""
    from memlm.data.questions import tasks

    return [tasks.task_counts(name, 1 + i) for i in range(len(tasks.TASKS.get(name, ())))]


def _questions(entry: Dataset, place: Path) -> list[dict[str, Any]]:
    """One row per edition and split of a question-answering dataset: counts over their files.

    The words are not counted, because stories with questions are not a text for a language model.
    """
    from memlm.data.fetch import check

    groups: dict[str, list[DataFile]] = {}
    for file in entry.files:
        if (place / file.path).exists():
            groups.setdefault(f"{file.part}/{file.split}", []).append(file)
    rows = []
    for split, files in groups.items():
        scans = [check.scan(place / file.path) for file in files]
        lines, questions = (sum(getattr(scan, what) for scan in scans) for what in ("lines", "questions"))
        rows.append({"split": split, "files": len(files), "lines": lines, "questions": questions})
    return rows
