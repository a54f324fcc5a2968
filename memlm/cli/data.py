"""`memlm data`: list, get, info and verify datasets."""

import json
from dataclasses import asdict
from typing import Any

import click

from memlm.cli.options import plain_options
from memlm.cli.show import data, tables
from memlm.config.data import DataConfig
from memlm.data.catalog.datasets import CATALOG, HEADS
from memlm.errors import MemlmError

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("data")
def command() -> None:
    """Fetch, import, describe and verify datasets.

    They are in the folder data/, or in the folder that the variable MEMLM_DATA names.
    """


@command.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """List the datasets of the catalogue, and which of them are there."""
    from memlm.data.fetch.get import is_present
    from memlm.data.storage import data_root

    root = data_root()
    entries = [
        {"name": name, "title": entry.title, "licence": entry.licence, "present": is_present(name)}
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
@click.option("--head", is_flag=True, help="FILE is only the beginning of text8: make it the dataset text8-head.")
def get(name: str, source: str | None, head: bool) -> None:
    """Get dataset NAME and check it. Does nothing if it is there already."""
    from memlm.data.fetch import get

    if head:
        if name not in HEADS or source is None:
            raise MemlmError(f"--head is only for {' and '.join(HEADS)}, with --from FILE")
        name = HEADS[name]
    get.get_dataset(name, source=source, say=click.echo)


@command.command("info")
@click.argument("name")
@plain_options(DataConfig)
@_JSON
def info(name: str, as_json: bool, **settings: Any) -> None:
    """Describe dataset NAME: a dataset of the catalogue, a folder or a file.

    Shows the counts of its splits, and the perplexity of a unigram model of the training split; warns if training has
    lines of the other splits. Words include one <eos> per line. oov counts the tokens that are not in the vocabulary
    of the training split. The options are the settings of a text.
    """
    data.show(name, DataConfig(**settings), as_json=as_json)


@command.command("verify")
@click.argument("name")
@_JSON
def verify(name: str, as_json: bool) -> None:
    """Read every file of dataset NAME, and compare hashes and counts. The exit status is 2 if one is wrong."""
    from memlm.data.fetch import get
    from memlm.data.storage import data_root

    results = get.verify(name)
    bad = [result for result in results if not result.ok]
    place = data_root() / name
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
