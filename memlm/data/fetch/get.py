"""Get datasets from mirrors or from disk. This is the only module that uses the network.

A dataset's folder appears whole or not at all: files are gathered and checked in a hidden folder beside it, and one
rename installs them. A folder that exists is never overwritten.
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
from memlm.data.fetch.check import CHUNK, FileResult, check_folder, ensure_verified, snapshot, write_manifest
from memlm.data.fetch.staging import Stage, abbreviated, generate_files, import_archive, import_path, save_chunks
from memlm.data.fetch.unpack import ARCHIVE_LIMIT
from memlm.data.storage import data_root, scratch_folder
from memlm.data.stories.generate import floor_nats
from memlm.errors import MemlmError

TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two chunks: being offline must be noticed quickly
PATIENCE = 30.0  # seconds over which the speed of a mirror is measured
SLOWEST = 1024  # bytes per second: a slower mirror is given up
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "memlm"}  # some hosts refuse Python's user agents
CANNOT_CONNECT = "cannot connect"
TOO_SLOW = "too slow"


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise MemlmError(f"cannot read or write{where}: {error.strerror or error}") from None


def is_present(name: str) -> bool:
    """Whether the dataset's folder exists and is not empty, checked or not."""
    folder = data_root() / lookup(name).name
    if folder.exists() and not folder.is_dir():
        raise MemlmError(f"{folder} is in the way: it is not a folder")
    return folder.exists() and any(folder.iterdir())


@_disk_errors()
def get_dataset(name: str, *, source: str | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Install a dataset from its mirrors or from `source`, and return its folder.

    `source` is a folder, a file, an archive or a base URL. A dataset that is already there is checked cheaply and left
    alone; a wrong one is never overwritten. One process gets the dataset; the others wait.
    `say(line)` reports each step. Raises MemlmError and leaves nothing half-written.
    """
    dataset, folder = lookup(name), data_root() / name
    if not is_present(name):
        with scratch_folder(folder, f"getting {name}") as scratch:
            if not is_present(name):
                stage = Stage(dataset=dataset, scratch=scratch)
                _gather(stage, source)
                for file in stage.missing():
                    say(f"left out (optional): {file.path} {stage.bad.get(file.path, 'is missing')}")
                _install(stage, folder)
                say(f"{name} is there and verified: {folder}")
                return folder
    ensure_verified(folder, dataset)
    say(f"{name} is already there and verified: {folder}")
    if absent := [file.path for file in dataset.files if not (folder / file.path).exists()]:
        say(f"optional and not there: {abbreviated(absent)}")
    return folder


@_disk_errors()
def verify(name: str) -> list[FileResult]:
    """Check every file's sha256 and counts against the catalogue. Raises MemlmError if the dataset is not there."""
    if not is_present(name):
        raise MemlmError(f"{name} is not in {data_root()}; run: memlm data get {name}")
    return check_folder(data_root() / name, lookup(name))


def split_files(name: str) -> dict[str, TextFile]:
    """Train, valid and test of a dataset that is a text. It is downloaded first if need be.

    Raises MemlmError if the dataset is not a text.
    """
    dataset = lookup(name)
    if not dataset.is_text:
        raise MemlmError(f"{name} can't be trained on as it is: {dataset.split_rule}; try ptb or stories")
    folder = get_dataset(name)
    if dataset.shares:
        return split_file(folder / dataset.files[0].path, dataset.shares)
    return {split: TextFile(folder / file.path) for split, file in dataset.split_files.items()}


def entropy_floors(name: str, splits: Sequence[str] = SPLITS) -> dict[str, dict[str, float]]:
    """The exact entropy of a generated dataset's splits: split -> floor_nats (in total) and floor_perplexity.

    It is computed from the text, which is generated first if need be. The result is empty if the entropy is unknown.
    """
    floors: dict[str, dict[str, float]] = {}
    if not (lookup(name).generated and lookup(name).split_files):  # the entropy of the questions is unknown
        return floors
    files = split_files(name)
    for split in splits:
        text = files[split].path.read_text(encoding="utf-8")
        nats, tokens = floor_nats(text.splitlines()), len(text.split()) + text.count("\n")
        floors[split] = {"floor_nats": nats, "floor_perplexity": math.exp(nats / tokens)}
    return floors


def _gather(stage: Stage, source: str | None) -> None:
    if stage.dataset.generated and source is not None:
        raise MemlmError(f"{stage.dataset.name} is generated, not imported: leave out --from")
    if stage.dataset.generated:
        generate_files(stage)
    elif source is None and stage.dataset.source:
        raise MemlmError(f"{stage.dataset.name} is not there, and can only be imported: {stage.dataset.source}")
    elif source is None:
        _from_mirrors(stage, stage.dataset.mirrors)
    elif re.match(r"https?://", source, re.IGNORECASE):
        _from_mirrors(stage, [source])
    else:
        import_path(stage, source)


def _install(stage: Stage, folder: Path) -> None:
    """Rename the staged folder to its final name. If another process was faster, check and keep its folder."""
    write_manifest(stage.folder, snapshot(stage.folder, stage.dataset))
    try:
        stage.folder.rename(folder)
    except OSError:
        if not is_present(stage.dataset.name):
            raise
        ensure_verified(folder, stage.dataset)


def _from_mirrors(stage: Stage, urls: Iterable[str]) -> None:
    """Get the missing files from each mirror in turn, until all required files are here."""
    failures: list[str] = []
    dead: set[str] = set()
    for url in urls:
        host = "/".join(url.split("/")[:3])
        stage.bad.clear()
        # When offline, a second try at the same host only takes time.
        reason = CANNOT_CONNECT if host in dead else _from_mirror(stage, url)
        if not stage.problem():
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
    """Get the missing files from an archive's URL or a base URL. Returns why the dataset is still not complete."""
    try:
        address = urlsplit(url)
        if is_archive(address.path):
            path = stage.scratch / address.path.rpartition("/")[2]
            with _response(url) as response:
                length = response.headers.get("content-length", "")
                size = int(length) if length.isdecimal() else None
                save_chunks(_chunks(response), path, limit=ARCHIVE_LIMIT, size=size)
            import_archive(stage, path, plain=_is_plain(response))
        else:
            _from_base(stage, url.rstrip("/"))
    except (requests.RequestException, ValueError) as error:
        return _reason(error)
    return stage.problem()


def _from_base(stage: Stage, url: str) -> None:
    """Get file by file, until a required one fails."""
    for file in stage.missing():
        try:
            with _response(f"{url}/{quote(file.path)}") as response:
                stage.offer(file, _chunks(response), plain=_is_plain(response))
        except requests.RequestException as error:
            if file.required:
                raise
            stage.bad[file.path] = f"could not be downloaded: {_reason(error)}"
        if file.required and file.path in stage.bad:
            return


@contextmanager
def _response(url: str) -> Iterator[requests.Response]:
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=HEADERS) as response:
        response.raise_for_status()
        yield response


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as it was sent, in chunks. Raises requests.Timeout if the mirror is slower than SLOWEST."""
    since, size = time.monotonic(), 0
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            yield chunk
            size += len(chunk)
            if (waited := time.monotonic() - since) > PATIENCE:
                if size < SLOWEST * waited:
                    raise requests.Timeout(TOO_SLOW)
                since, size = time.monotonic(), 0
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from None


def _is_plain(response: requests.Response) -> bool:
    """Whether the response or a redirect to it came without https."""
    return any(not hop.url.startswith("https:") for hop in (*response.history, response))


def _reason(error: Exception) -> str:
    """Why a download failed, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout) or "Max retries exceeded" in str(error):
        return CANNOT_CONNECT
    if str(error) == TOO_SLOW:
        return f"less than {SLOWEST} bytes a second"
    if isinstance(error, requests.Timeout | requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection dropped or timed out"
    return str(error)
