"""`memlm data`: list, get, info and verify datasets. Importing this costs click alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from memlm.data.catalog import DataFile, Dataset

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("data")
def command() -> None:
    """Fetch, import, describe and verify datasets.

    They lie in data/, or in the folder that MEMLM_DATA names.
    """


@command.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """The datasets that memlm knows, and which of them are there."""
    from memlm.data.catalog import CATALOG
    from memlm.data.fetch import data_root, present

    root = data_root()
    entries = [
        {"name": name, "title": entry.title, "licence": entry.licence, "present": present(name)}
        for name, entry in CATALOG.items()
    ]
    if as_json:
        click.echo(json.dumps({"root": str(root), "datasets": entries}))
        return
    rows = [
        (entry["name"], entry["title"], entry["licence"], "there" if entry["present"] else "not there")
        for entry in entries
    ]
    _table(("name", "what", "licence", f"in {root}"), rows)


@command.command("get")
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="PATH",
    help="Import from a folder, a file, an archive or a base URL instead of the public mirrors.",
)
def get(name: str, source: str | None) -> None:
    """Put dataset NAME in its place, checked; does nothing if it is there."""
    from memlm.data import fetch

    fetch.get(name, source=source, report=fetch.Report(click.echo))


@command.command("info")
@click.argument("name")
@_JSON
def info(name: str, as_json: bool) -> None:
    """What dataset NAME is, and the counts of its splits.

    Tokens count one <eos> a line; oov is the tokens that the training split does not hold.
    """
    from memlm.data import fetch
    from memlm.data.catalog import lookup

    dataset = lookup(name)
    there = fetch.present(name)
    place = (fetch.ensure(name) if there else fetch.data_root() / name).absolute()
    splits = _splits(dataset, place) if there else []
    facts: dict[str, Any] = {
        "name": name,
        "title": dataset.title,
        "about": dataset.about,
        "licence": dataset.licence,
        "homepage": dataset.homepage,
        "mirrors": list(dataset.mirrors),
        "split_rule": dataset.split_rule,
        "present": there,
        "place": str(place),
        "splits": {str(split["split"]): split for split in splits},
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    mirrors = " ".join(dataset.mirrors) or "none: memlm generates it"
    where = str(place) if there else f"not there; run: memlm data get {name}"
    for label, text in (
        (name, f"{dataset.title}: {dataset.about}"),
        ("licence", dataset.licence),
        ("home", dataset.homepage),
        ("mirrors", mirrors),
        ("place", where),
    ):
        click.echo(f"{label:<8} {text}")
    if splits:
        columns = [key for key in splits[0] if any(split[key] is not None for split in splits)]
        _table([key.replace("_", " ") for key in columns], [[split[key] for key in columns] for split in splits])


@command.command("verify")
@click.argument("name")
@_JSON
def verify(name: str, as_json: bool) -> None:
    """Read every file of dataset NAME and compare hashes and counts; exit status 2 if one is wrong."""
    from dataclasses import asdict

    from memlm.data import fetch

    results = fetch.verify(name)
    bad = [result for result in results if not result.ok]
    place = fetch.data_root() / name
    if as_json:
        files = [{**asdict(result), "ok": result.ok} for result in results]
        click.echo(json.dumps({"name": name, "place": str(place.absolute()), "ok": not bad, "files": files}))
    else:
        rows = [
            (result.path, result.size, (result.sha256 or "")[:12], result.tokens, result.problem or "ok")
            for result in results
        ]
        _table(("file", "bytes", "sha256", "tokens", "verdict"), rows)
    for result in bad:
        click.echo(f"Error: {place / result.path} {result.problem}", err=True)
    if bad:
        raise SystemExit(2)


def _splits(dataset: Dataset, place: Path) -> list[dict[str, str | int | float | None]]:
    """A row a split, or a row an edition and split where a dataset has several: counts over their files."""
    from memlm.data import fetch

    floors = fetch.floor(dataset.name)
    groups: dict[tuple[str, str], list[DataFile]] = {}
    for file in dataset.files:
        if (place / file.path).exists():
            groups.setdefault((file.part, file.split or "all"), []).append(file)
    train: dict[str, Counter[str]] = {}
    rows: list[dict[str, str | int | float | None]] = []
    for (part, split), files in groups.items():  # the catalogue names train first
        words, lines, questions = _count(place / file.path for file in files)
        if split == "train":
            train[part] = words
        known = train.get(part)
        # Stories with questions are not text to be modelled line by line: their words are not counted so.
        text = not any(file.questions for file in files)
        oov = sum(n for word, n in words.items() if word not in known) if known and text else None
        rows.append(
            {
                "split": f"{part}/{split}" if part else split,
                "files": len(files),
                "lines": lines,
                "tokens": words.total() if text else None,
                "types": len(words) if text else None,
                "oov": oov,
                "questions": None if text else questions,
                "floor_perplexity": floors.get(split, {}).get("floor_perplexity"),
            }
        )
    return rows


def _count(paths: Iterable[Path]) -> tuple[Counter[str], int, int]:
    """The words of some files with their `<eos>`, their lines and their questions."""
    from collections import Counter

    from memlm.data.fetch import EOS, scan

    words: Counter[str] = Counter()
    lines = questions = 0
    for path in paths:
        found = scan(path)
        words.update(found.words)
        lines += found.lines
        questions += found.questions
    words[EOS] += lines
    return words, lines, questions


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output: numbers to the right; wide enough for a pipe that no path is cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    numeric = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
