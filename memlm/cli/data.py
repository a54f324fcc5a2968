"""`memlm data`: list, get, info and verify datasets. Importing this costs click alone."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from memlm.cli import tables
from memlm.data.catalog import CATALOG, HEADS, lookup
from memlm.data.entries import DataFile, Dataset
from memlm.errors import MemlmError

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
    tables.show(("name", "what", "licence", f"in {root}"), rows)


@command.command("get")
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="PATH",
    help="Import from a folder, a file, an archive or a base URL instead of the public mirrors.",
)
@click.option("--head", is_flag=True, help="FILE is only a head of text8: make it the dataset text8-head.")
def get(name: str, source: str | None, head: bool) -> None:
    """Put dataset NAME in its place, checked; does nothing if it is there."""
    from memlm.data import fetch

    if head:
        if name not in HEADS or source is None:
            raise MemlmError(f"--head is of {' and '.join(HEADS)} alone, with --from FILE")
        name = HEADS[name]
    fetch.get(name, source=source, say=click.echo)


@command.command("info")
@click.argument("name")
@_JSON
def info(name: str, as_json: bool) -> None:
    """What dataset NAME is, and the counts of its splits and of its tasks.

    Tokens count one <eos> a line; oov is the tokens that the training split does not hold.
    """
    from memlm.data import fetch

    dataset = lookup(name)
    there = fetch.present(name) or dataset.generated  # what memlm makes itself is made now
    place = (fetch.get(name) if there else fetch.data_root() / name).absolute()
    splits = _splits(dataset, place) if there else []
    tasks = _tasks(name) if there else []
    keys = ("name", "title", "about", "licence", "homepage", "mirrors", "split_rule")
    facts: dict[str, Any] = {
        **{key: getattr(dataset, key) for key in keys},
        "present": there,
        "place": str(place),
        "splits": {split["split"]: split for split in splits},
        **({"tasks": tasks} if tasks else {}),
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
        _show(splits, columns)
    if tasks:
        _show(tasks, list(tasks[0]))


@command.command("verify")
@click.argument("name")
@_JSON
def verify(name: str, as_json: bool) -> None:
    """Read every file of dataset NAME and compare hashes and counts; exit status 2 if one is wrong."""
    from memlm.data import fetch

    results = fetch.verify(name)
    bad = [result for result in results if not result.ok]
    place = fetch.data_root() / name
    if as_json:
        files = [asdict(result) for result in results]
        click.echo(json.dumps({"name": name, "place": str(place.absolute()), "ok": not bad, "files": files}))
    else:
        rows = [
            (result.path, result.size, (result.sha256 or "")[:12], result.tokens, result.problem or "ok")
            for result in results
        ]
        tables.show(("file", "bytes", "sha256", "tokens", "verdict"), rows)
    for result in bad:
        click.echo(f"Error: {place / result.path} {result.problem}", err=True)
    if bad:
        raise SystemExit(2)


def _show(rows: list[dict[str, Any]], columns: list[str]) -> None:
    tables.show(
        [column.replace("_", " ") for column in columns], [[row[column] for column in columns] for row in rows]
    )


def _tasks(name: str) -> list[dict[str, Any]]:
    """A row a task of a question-answering dataset, at 1k."""
    from memlm.data import tasks

    return [tasks.task_counts(name, 1 + i) for i in range(len(tasks.TASKS.get(name, ())))]


def _splits(dataset: Dataset, place: Path) -> list[dict[str, Any]]:
    """A row a split, or a row an edition and split where a dataset has several: counts over their files."""
    from memlm.data import check, fetch

    floors = fetch.floor(dataset.name)
    groups: dict[tuple[str, str], list[DataFile]] = {}
    for file in dataset.files:
        if (place / file.path).exists():
            groups.setdefault((file.part, file.split or "all"), []).append(file)
    train: dict[str, Counter[str]] = {}
    rows = []
    for (part, split), files in groups.items():  # the catalogue names train first
        scans = [check.scan(place / file.path) for file in files]
        words = sum((scan.words for scan in scans), Counter[str]())
        if split == "train":
            train[part] = words
        known = train.get(part)
        # Stories with questions are not text to be modelled line by line: their words are not counted so.
        text = not any(file.questions for file in files)
        rows.append(
            {
                "split": f"{part}/{split}" if part else split,
                "files": len(files),
                "lines": sum(scan.lines for scan in scans),
                "tokens": words.total() if text else None,
                "types": len(words) if text else None,
                "oov": sum(n for word, n in words.items() if word not in known) if known and text else None,
                "questions": None if text else sum(scan.questions for scan in scans),
                "floor_perplexity": floors.get(split, {}).get("floor_perplexity"),
            }
        )
    return rows
