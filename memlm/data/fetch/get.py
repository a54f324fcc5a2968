"""Getting datasets, from mirrors or from disk, and finding them again. The only user of the network.

A dataset's folder appears whole or not at all: files are gathered and checked in a hidden folder beside its
place, and one rename moves it there. What lies there already is never written over.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
import urllib3

from memlm.data.catalog.datasets import lookup
from memlm.data.catalog.entries import SPLITS, is_archive
from memlm.data.corpus.reading import TextFile
from memlm.data.corpus.splitting import split_file
from memlm.data.fetch.check import CHUNK, FileResult, check_folder, settle, snapshot, write_manifest
from memlm.data.fetch.staging import Stage, few, from_archive, from_path, generate, save
from memlm.data.fetch.unpack import ARCHIVE_LIMIT
from memlm.data.place import data_root, making
from memlm.data.stories import stories
from memlm.errors import MemlmError

TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two pieces: offline must not take long to notice
PATIENCE = 30.0  # seconds, in each of which periods a mirror must send
SLOWEST = 1024  # bytes a second
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "memlm"}  # some hosts refuse the names of Python's libraries
CANNOT_CONNECT = "cannot connect"
TOO_SLOW = "too slow"


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise MemlmError(f"cannot read or write{where}: {error.strerror or error}") from None


def present(name: str) -> bool:
    """Whether anything lies in the dataset's place, checked or not."""
    place = data_root() / lookup(name).name
    if place.exists() and not place.is_dir():
        raise MemlmError(f"{place} is in the way: it is not a folder")
    return place.exists() and any(place.iterdir())


@_disk_errors()
def get(name: str, *, source: str | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Put a dataset in its place, from its mirrors or from `source`, and return its folder.

    `source` is a folder, a file, an archive or a base URL. What is there and right is left alone, after a cheap
    check; what is there and wrong is never written over. Of several processes one gets it, and the others wait.
    `say` is told of each step in a line. Raises MemlmError, with nothing left half-written.
    """
    dataset, place = lookup(name), data_root() / name
    if not present(name):
        with making(place, f"getting {name}") as scratch:
            if not present(name):
                stage = Stage(dataset=dataset, scratch=scratch)
                _gather(stage, source)
                for file in stage.wanted():
                    say(f"left out (optional): {file.path} {stage.bad.get(file.path, 'is missing')}")
                _install(stage, place)
                say(f"{name} is there and verified: {place}")
                return place
    settle(place, dataset)
    say(f"{name} is already there and verified: {place}")
    if absent := [file.path for file in dataset.files if not (place / file.path).exists()]:
        say(f"optional and not there: {few(absent)}")
    return place


@_disk_errors()
def verify(name: str) -> list[FileResult]:
    """Every file read whole: sha256 and counts against the catalogue. Raises MemlmError if nothing is there."""
    if not present(name):
        raise MemlmError(f"{name} is not in {data_root()}; run: memlm data get {name}")
    return check_folder(data_root() / name, lookup(name))


def split_files(name: str) -> dict[str, TextFile]:
    """Train, valid and test of a dataset that is a text, got first if it is not there.

    Raises MemlmError for a dataset that is none.
    """
    dataset = lookup(name)
    if not dataset.is_text:
        raise MemlmError(f"{name} can't be trained on as it is: {dataset.split_rule}; try ptb or stories")
    place = get(name)
    if dataset.shares:
        return split_file(place / dataset.files[0].path, dataset.shares)
    return {split: TextFile(place / file.path) for split, file in dataset.split_files.items()}


def floor(name: str, splits: Sequence[str] = SPLITS) -> dict[str, dict[str, float]]:
    """The exact entropy floor of a generated dataset's splits: split -> floor_nats (total) and floor_perplexity.

    Computed from the text, which is got first if it is not there; empty where nobody knows the entropy.
    """
    floors: dict[str, dict[str, float]] = {}
    if not (lookup(name).generated and lookup(name).split_files):  # nobody knows the entropy of the questions
        return floors
    files = split_files(name)
    for split in splits:
        text = files[split].path.read_text(encoding="utf-8")
        nats, tokens = stories.floor_nats(text.splitlines()), len(text.split()) + text.count("\n")
        floors[split] = {"floor_nats": nats, "floor_perplexity": math.exp(nats / tokens)}
    return floors


def _gather(stage: Stage, source: str | None) -> None:
    if stage.dataset.generated and source is not None:
        raise MemlmError(f"{stage.dataset.name} is generated, not imported: leave out --from")
    if stage.dataset.generated:
        generate(stage)
    elif source is None and stage.dataset.source:
        raise MemlmError(f"{stage.dataset.name} is not there, and can only be imported: {stage.dataset.source}")
    elif source is None:
        _from_mirrors(stage, stage.dataset.mirrors)
    elif re.match(r"https?://", source, re.IGNORECASE):
        _from_mirrors(stage, [source])
    else:
        from_path(stage, source)


def _install(stage: Stage, place: Path) -> None:
    """One rename. Should anyone have been quicker, what was put there is checked and kept."""
    write_manifest(stage.folder, snapshot(stage.folder, stage.dataset))
    try:
        stage.folder.rename(place)
    except OSError:
        if not present(stage.dataset.name):
            raise
        settle(place, stage.dataset)


def _from_mirrors(stage: Stage, urls: Iterable[str]) -> None:
    """Each mirror in turn for what is still wanted, until all that is required is here."""
    failures: list[str] = []
    dead: set[str] = set()
    for url in urls:
        host = "/".join(url.split("/")[:3])
        stage.bad.clear()
        # Offline, a second try at the same host would only take time.
        reason = CANNOT_CONNECT if host in dead else _from_mirror(stage, url)
        if not stage.lacking():
            return
        if reason == CANNOT_CONNECT:
            dead.add(host)
        failures.append(f"{url} ({reason})")
    name = stage.dataset.name
    raise MemlmError(
        f"cannot get {name}: {'; '.join(failures)}; import it instead from a folder, a file, an archive or a URL: "
        f"memlm data get {name} --from PATH"
    )


def _from_mirror(stage: Stage, url: str) -> str:
    """Take what is wanted from an archive's URL or a base URL; the reason if something required is still lacking."""
    try:
        address = urlsplit(url)
        if is_archive(address.path):
            path = stage.scratch / address.path.rpartition("/")[2]
            with _response(url) as response:
                length = response.headers.get("content-length", "")
                size = int(length) if length.isdecimal() else None
                save(_pieces(response), path, limit=ARCHIVE_LIMIT, size=size)
            from_archive(stage, path, plain=_is_plain(response))
        else:
            _from_base(stage, url.rstrip("/"))
    except (requests.RequestException, ValueError) as error:
        return _reason(error)
    return stage.lacking()


def _from_base(stage: Stage, url: str) -> None:
    """File by file until a required one fails."""
    for file in stage.wanted():
        try:
            with _response(f"{url}/{quote(file.path)}") as response:
                stage.offer(file, _pieces(response), plain=_is_plain(response))
        except requests.RequestException as error:
            if file.required:
                raise
            stage.bad[file.path] = f"was not got: {_reason(error)}"
        if file.required and file.path in stage.bad:
            return


@contextmanager
def _response(url: str) -> Iterator[requests.Response]:
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=HEADERS) as response:
        response.raise_for_status()
        yield response


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it was sent, in the pieces that come. Raises requests.Timeout for a mirror that only trickles."""
    since, size = time.monotonic(), 0
    try:
        while piece := response.raw.read1(CHUNK, decode_content=False):
            yield piece
            size += len(piece)
            if (waited := time.monotonic() - since) > PATIENCE:
                if size < SLOWEST * waited:
                    raise requests.Timeout(TOO_SLOW)
                since, size = time.monotonic(), 0
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from None


def _is_plain(response: requests.Response) -> bool:
    """Whether any hop on the way was without https."""
    return any(not hop.url.startswith("https:") for hop in (*response.history, response))


def _reason(error: Exception) -> str:
    """A failed download in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout) or "Max retries exceeded" in str(error):
        return CANNOT_CONNECT
    if str(error) == TOO_SLOW:
        return f"less than {SLOWEST} bytes a second"
    if isinstance(error, requests.Timeout | requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection dropped or timed out"
    return str(error)
