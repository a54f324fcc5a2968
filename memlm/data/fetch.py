"""Getting datasets: mirrors, import from disk, safe unpacking, hashes. The only user of the network.

A dataset's folder appears whole or not at all: files are gathered and checked in a hidden folder beside its
place, and one rename moves it there. What lies there already is never written over. No archive is trusted
with a path: the catalogue says which members are wanted, and their bytes are streamed into files of our own.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import gzip
import hashlib
import io
import json
import lzma
import math
import os
import re
import shutil
import stat
import struct
import sys
import tarfile
import tempfile
import urllib.parse
import zipfile
import zlib
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from memlm.data.catalog import DataFile, Dataset, is_archive, lookup
from memlm.errors import MemlmError

EOS = "<eos>"
MANIFEST = ".memlm.json"
FLOOR = "floor.json"
TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two pieces: offline must not take long to notice
CHUNK = 1 << 18
UNPINNED_LIMIT = 64 << 20  # bytes of a file whose size is not known
WORD_LIMIT = 1_000_000  # characters
ARCHIVE_LIMIT = 1 << 30  # bytes of an archive, and of all that it says to hold: more is a bomb
MEMBER_LIMIT = 100_000  # members of an archive, entries of a folder

Advance = Callable[[int], None]


# ---------------------------------------------------------------------------------------------- what is said


class Report:
    """What `get` tells: lines through `say`, and a bar on standard error where that is a terminal."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say

    def say(self, line: str) -> None:
        """One line for the user; dropped when nobody listens."""
        if self._say is not None:
            self._say(line)

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """A bar of `total` bytes while the block runs; yields the function that moves it on."""
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(label, total=total)
            yield lambda count: progress.advance(task, count)


# ------------------------------------------------------------------------------------------------- checking


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What one pass over a text file finds; `words` counts words without `<eos>`."""

    size: int
    sha256: str
    lines: int
    questions: int
    words: Counter[str]

    @property
    def tokens(self) -> int:
        """Words and one `<eos>` a line."""
        return self.words.total() + self.lines

    @property
    def types(self) -> int:
        """Distinct tokens, `<eos>` among them."""
        return len(self.words) + (EOS not in self.words)


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """One file against the catalogue: `problem` is empty where all is well."""

    path: str
    problem: str = ""
    missing: bool = False
    required: bool = True
    size: int | None = None
    sha256: str | None = None
    lines: int | None = None
    tokens: int | None = None
    types: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the file serves: right, or missing and not required."""
        return not self.problem or (self.missing and not self.required)


def scan(path: Path) -> Scan:
    """Hash and count a file in one pass of small memory, however long its lines.

    Raises MemlmError for a file that is empty or not UTF-8, naming the byte.
    """
    digest, decoder = hashlib.sha256(), getincrementaldecoder("utf-8")()
    words: Counter[str] = Counter()
    size = lines = tabs = 0
    rest, last = "", b""
    with path.open("rb") as file:
        while True:
            data = file.read(CHUNK)
            held = len(decoder.getstate()[0])
            try:
                text = rest + decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise MemlmError(f"{path} is not UTF-8 text (byte {size - held + error.start})") from None
            # An unfinished word waits for the next piece; text8 is one line, so pieces are not lines.
            cut = max(text.rfind(" "), text.rfind("\n")) + 1 if data else len(text)
            piece, rest = text[:cut], text[cut:]
            if len(rest) > WORD_LIMIT:
                raise MemlmError(f"{path} is not text: a word of more than {WORD_LIMIT:,} characters")
            digest.update(data)
            size += len(data)
            words.update(piece.split())
            lines += piece.count("\n")
            tabs += piece.count("\t")
            if not data:
                break
            last = data[-1:]
    if size == 0:
        raise MemlmError(f"{path} is empty")
    lines += last != b"\n"
    return Scan(size=size, sha256=digest.hexdigest(), lines=lines, questions=tabs // 2, words=words)


def _sniff(path: Path, file: DataFile) -> str:
    """What a file plainly is instead of the one wanted, from its first bytes; empty if nothing is odd."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        return "is empty"
    if re.match(rb"\s*(<!doctype html|<html)", head, re.IGNORECASE):
        return "is an HTML page, not the file"
    words = head.decode("utf-8", "replace").split()
    if file.tokens and "_" in words and sum(len(word) == 1 for word in words) > 0.9 * len(words):
        return "is character-level text (as ptb.char.train.txt); the word-level file is needed"
    return ""


def _difference(found: Scan, file: DataFile, dataset: Dataset) -> str:
    """How a file differs from the catalogue; empty if it does not."""
    for sha256, meaning in dataset.impostors:
        if found.sha256 == sha256:
            return f"is {meaning}"
    if file.size is not None and found.size != file.size:
        more = "more than " if found.size > file.size else ""  # reading stops there
        shown = f"{more}{min(found.size, file.size):,}"
        return f"is not the known file: {shown} bytes instead of {file.size:,}"
    if file.sha256 is not None and found.sha256 != file.sha256:
        return f"is not the known file: sha256 {found.sha256[:12]}... instead of {file.sha256[:12]}..."
    for what in ("lines", "tokens", "types", "questions"):
        known, counted = getattr(file, what), getattr(found, what)
        if known is not None and counted != known:
            return f"holds {counted:,} {what} instead of {known:,}"
    return ""


def check_file(path: Path, file: DataFile, dataset: Dataset) -> FileResult:
    """A file on disk against the catalogue: kind, size, sha256, counts."""
    result = FileResult(path=file.path, required=file.required)
    if not path.exists():
        return replace(result, problem="is missing", missing=True)
    if not path.is_file():
        return replace(result, problem="is not a regular file")
    if problem := _sniff(path, file):
        return replace(result, problem=problem, size=path.stat().st_size)
    try:
        found = scan(path)
    except MemlmError as error:
        return replace(result, problem=str(error).removeprefix(f"{path} "), size=path.stat().st_size)
    return replace(
        result,
        problem=_difference(found, file, dataset),
        size=found.size,
        sha256=found.sha256,
        lines=found.lines,
        tokens=found.tokens,
        types=found.types,
    )


def _check_floor(folder: Path, dataset: Dataset) -> FileResult:
    """The recorded floor against one computed from the text alone."""
    from memlm.data import stories

    result = FileResult(path=FLOOR)
    path = folder / FLOOR
    if not path.is_file():
        return replace(result, problem="is missing", missing=True)
    try:
        recorded = _read_floor(path)
        for split, file in dataset.split_files.items():
            lines = (folder / file.path).read_text(encoding="utf-8").split("\n")[:-1]
            if not math.isclose(recorded[split]["floor_nats"], stories.floor_nats(lines), rel_tol=1e-9):
                return replace(result, problem=f"does not hold the floor of the {split} split")
    except (MemlmError, OSError, ValueError, KeyError, TypeError):
        return replace(result, problem="cannot be checked: it, or the text, is damaged")
    return replace(result, size=path.stat().st_size)


def _check_folder(folder: Path, dataset: Dataset) -> list[FileResult]:
    results = [check_file(folder / file.path, file, dataset) for file in dataset.files]
    return [*results, _check_floor(folder, dataset)] if dataset.generated else results


# --------------------------------------------------------------------------------- remembering a verification


def _stamp(path: Path) -> dict[str, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _write_manifest(folder: Path, dataset: Dataset, results: Iterable[FileResult]) -> None:
    """Record what was verified, so that the next start need not read it all."""
    files = {
        result.path: {**(_stamp(folder / result.path) or {}), "sha256": result.sha256}
        for result in results
        if not result.problem
    }
    text = json.dumps({"format": 1, "dataset": dataset.name, "files": files}, indent=1) + "\n"
    handle, temporary = tempfile.mkstemp(prefix=MANIFEST, dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)  # mkstemp's is for its owner alone; a data folder may be shared
        Path(temporary).replace(folder / MANIFEST)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _still_verified(folder: Path, dataset: Dataset) -> bool:
    """Whether the manifest vouches for every file: this catalogue's hash, size and time unchanged."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        paths = {file.path: file for file in dataset.files}
        for path in [*paths, *([FLOOR] if dataset.generated else [])]:
            file, entry, stamp = paths.get(path), recorded.get(path), _stamp(folder / path)
            if entry is None and stamp is None and file is not None and not file.required:
                continue
            if entry is None or stamp is None or any(entry[key] != stamp[key] for key in stamp):
                return False
            if file is not None and file.sha256 is not None and entry["sha256"] != file.sha256:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _settle(folder: Path, dataset: Dataset) -> None:
    """Accept what lies in the dataset's place, or raise MemlmError with the way to mend it."""
    if _still_verified(folder, dataset):
        return
    results = _check_folder(folder, dataset)
    for result in results:
        if not result.ok:
            raise MemlmError(
                f"{folder / result.path} {result.problem}; nothing was changed: move the folder away "
                f"(mv {folder} {folder}.old) and run: memlm data get {dataset.name}"
            )
    with suppress(OSError):  # a folder that may only be read serves too
        _write_manifest(folder, dataset, results)


# ------------------------------------------------------------------------------------------------- gathering


def _save(chunks: Iterable[bytes], path: Path, limit: int, advance: Advance) -> None:
    """Write the pieces; stop one byte after the limit, which tells the check that there was more."""
    room = limit + 1
    with path.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk[:room])
            advance(len(chunk))
            room -= len(chunk)
            if room <= 0:
                return


def _pieces(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    return iter(lambda: stream.read(CHUNK), b"")


@dataclass(kw_only=True)
class _Stage:
    """A dataset being gathered in a folder that is not yet in its place."""

    dataset: Dataset
    folder: Path
    scratch: Path
    report: Report
    good: dict[str, FileResult] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    odd: str = ""  # a file by whose name one sees what was given instead

    def wanted(self) -> list[DataFile]:
        return [file for file in self.dataset.files if file.path not in self.good]

    def wanted_as(self, name: str) -> DataFile | None:
        """The catalogued file that a member or path of this name is, if any; a lookalike is noted."""
        for pattern, meaning in self.dataset.lookalikes:
            if fnmatch.fnmatch(name.rpartition("/")[2], pattern):
                self.odd = self.odd or f"{name.rpartition('/')[2]} is {meaning}"
        return next((file for file in self.wanted() if f"/{name}".endswith(f"/{file.path}")), None)

    def offer(self, file: DataFile, chunks: Iterable[bytes]) -> None:
        """Take a file's bytes, and keep them if they are right."""
        place = self.folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with self.report.task(file.name, file.size) as advance:
            _save(chunks, place, file.size or UNPINNED_LIMIT, advance)
        self.accept(file)

    def accept(self, file: DataFile) -> None:
        """Judge a file that was written into the folder."""
        result = check_file(self.folder / file.path, file, self.dataset)
        if result.problem:
            self.bad[file.path] = result.problem
            (self.folder / file.path).unlink()
        else:
            self.good[file.path] = result
            self.bad.pop(file.path, None)

    def lacking(self) -> str:
        """Why the dataset is not complete; empty when all that is required is here."""
        lacking = [file.path for file in self.wanted() if file.required]
        if not lacking:
            return ""
        for path in lacking:
            if path in self.bad:
                return f"{path} {self.bad[path]}"
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return self.odd or f"it lacks {', '.join(lacking[:3])}{more}"


def _offer_alone(stage: _Stage, name: str, chunks: Iterable[bytes]) -> None:
    """A single file, which may have any name if the dataset is one file."""
    file = stage.wanted_as(name)
    if file is None and len(stage.dataset.files) == 1:
        file = stage.dataset.files[0]
    if file is None and not stage.odd:
        probe = stage.scratch / "probe"
        _save(chunks, probe, CHUNK, lambda _: None)
        known = ", ".join(wanted.path for wanted in stage.dataset.files[:3])
        stage.odd = f"{name} {_sniff(probe, stage.dataset.files[0]) or f'is none of {known}, ...'}"
    elif file is not None:
        stage.offer(file, chunks)


# -------------------------------------------------------------------------------------------------- archives


@dataclass(frozen=True, kw_only=True)
class _Member:
    name: str
    kind: str  # "file", "folder", or what it is that is refused
    size: int
    open: Callable[[], IO[bytes]]


def _zip_members(path: Path) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
            if kind == "file" and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "device"
            yield _Member(
                # orig_filename: the reader's own name is cut at NUL, and may hide what stood there
                name=info.orig_filename,
                kind=kind,
                size=info.file_size,
                open=functools.partial(archive.open, info),
            )


def _tar_members(path: Path) -> Generator[_Member, None, None]:
    def content(info: tarfile.TarInfo) -> IO[bytes]:
        return archive.extractfile(info) or io.BytesIO()

    with tarfile.open(path) as archive:
        for info in archive:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
            kind = "link" if info.issym() or info.islnk() else kind
            yield _Member(name=info.name, kind=kind, size=info.size, open=functools.partial(content, info))


def _refusal(member: _Member) -> str:
    """Why an archive with this member is not trusted; empty if it is."""
    parts = re.split(r"[/\\]", member.name)
    if parts[0] == "" or re.match(r"[A-Za-z]:", member.name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of the folder"
    return f"is a {member.kind}" if member.kind not in ("file", "folder") else ""


def _unpack(stage: _Stage, path: Path, plain: bool) -> None:
    members = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)
    with contextlib.closing(members):
        total = 0
        for count, member in enumerate(members, 1):
            if problem := _refusal(member):
                raise MemlmError(f"{path.name} is refused: its member {member.name!r} {problem}")
            total += member.size
            if total > ARCHIVE_LIMIT or count > MEMBER_LIMIT:
                raise MemlmError(f"{path.name} is refused: too much in it, from its member {member.name!r} on")
            file = stage.wanted_as(member.name) if member.kind == "file" else None
            if file is None:
                continue
            if plain and file.sha256 is None:
                stage.bad[file.path] = "is not taken over plain http, since its sha256 is not known"
                continue
            with member.open() as stream:
                stage.offer(file, _pieces(stream))


def _from_archive(stage: _Stage, path: Path, plain: bool = False) -> None:
    """The catalogued members of a zip or tar, or the one file of a gzip. Raises MemlmError if it is not sound."""
    try:
        if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
            _unpack(stage, path, plain)
        else:
            with gzip.open(path) as stream:
                _offer_alone(stage, path.name.removesuffix(".gz"), _pieces(stream))
    except MemlmError:
        raise
    except OSError as error:
        if error.errno is not None:  # the disk's; without a number it is the archive's
            raise
        raise MemlmError(f"{path.name} is not an archive, or a damaged one ({error})") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise MemlmError(f"{path.name} is damaged or cut off ({error})") from None
    except (struct.error, ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: encrypted
        raise MemlmError(f"{path.name} cannot be read ({error})") from None


# -------------------------------------------------------------------------------------------------- from disk


def _walk(folder: Path) -> list[Path]:
    """The files below a folder, the nearest first."""
    found: list[Path] = []
    for place, _, names in os.walk(folder):
        found.extend(Path(place) / name for name in names)
        if len(found) > MEMBER_LIMIT:
            raise MemlmError(f"{folder} holds more than {MEMBER_LIMIT:,} files: give a folder nearer to the data")
    return sorted(found, key=lambda path: (len(path.parts), path))


def _from_folder(stage: _Stage, folder: Path) -> None:
    """Find the files by name, also in sub-folders; failing that, an archive named as the dataset's."""
    paths = _walk(folder)
    for path in paths:
        file = stage.wanted_as(path.absolute().as_posix())
        if file is not None and path.is_file():
            with path.open("rb") as stream:
                stage.offer(file, _pieces(stream))
    known = tuple(url.rpartition("/")[2] for url in stage.dataset.mirrors if is_archive(url))
    for path in paths:
        if not stage.lacking():
            return
        if is_archive(path.name) and path.name.startswith((*known, stage.dataset.name)) and path.is_file():
            _from_archive(stage, path)


def _from_path(stage: _Stage, source: str) -> None:
    path = Path(source).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        exists = False
    if not exists or not source:
        raise MemlmError(f"no file or folder at {source!r}: --from takes a folder, a file, an archive or a URL")
    if path.is_dir():
        _from_folder(stage, path)
    elif not path.is_file():
        raise MemlmError(f"{path} is neither a folder nor a regular file")
    elif is_archive(path.name) or zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        _from_archive(stage, path)
    else:
        with path.open("rb") as stream:
            _offer_alone(stage, path.absolute().as_posix(), _pieces(stream))
    if problem := stage.lacking():
        raise MemlmError(f"cannot import {stage.dataset.name} from {path}: {problem}")


# --------------------------------------------------------------------------------------------- from the network


class _Download:
    """A downloader for pooch that keeps to a size, closes its sockets and knows whether every hop was https."""

    def __init__(self, file: DataFile, limit: int, report: Report) -> None:
        self.file, self.limit, self.report = file, limit, report
        self.plain = False

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Called by pooch with a temporary file."""
        import requests

        with requests.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            self.plain = any(not hop.url.startswith("https:") for hop in (*response.history, response))
            if self.plain and self.file.sha256 is None and not is_archive(self.file.name):
                raise MemlmError(f"{self.file.path} is not taken over plain http, since its sha256 is not known")
            length = response.headers.get("content-length", "")
            with self.report.task(self.file.name, int(length) if length.isdecimal() else None) as advance:
                _save(response.iter_content(CHUNK), Path(output_file), self.limit, advance)
        if problem := _sniff(Path(output_file), self.file):
            raise MemlmError(f"{self.file.path} {problem}")


def _download(stage: _Stage, url: str, file: DataFile, folder: Path, limit: int) -> _Download:
    import pooch  # type: ignore[import-untyped]

    pooch.get_logger().setLevel("WARNING")  # it would announce each file on standard error
    download = _Download(file, limit, stage.report)
    sha256 = file.sha256 and f"sha256:{file.sha256}"
    pooch.retrieve(url, known_hash=sha256, fname=file.path, path=folder, downloader=download)
    return download


def _from_mirror(stage: _Stage, url: str) -> None:
    """All that is wanted from an archive's URL or a base URL; an optional file may fail."""
    import requests

    address = urllib.parse.urlsplit(url)
    if is_archive(address.path):
        archive = DataFile(path=address.path.rpartition("/")[2])
        with tempfile.TemporaryDirectory(dir=stage.scratch) as folder:
            download = _download(stage, url, archive, Path(folder), ARCHIVE_LIMIT)
            _from_archive(stage, Path(folder) / archive.path, plain=download.plain)
        return
    for file in stage.wanted():
        try:
            target = f"{url.rstrip('/')}/{urllib.parse.quote(file.path)}"
            _download(stage, target, file, stage.folder, file.size or UNPINNED_LIMIT)
        except (requests.RequestException, ValueError) as error:
            if file.required or isinstance(error, requests.ConnectionError):
                raise
            stage.bad[file.path] = f"was not got: {_reason(error)}"
        else:
            stage.accept(file)


def _reason(error: Exception) -> str:
    """A failed download in a few words."""
    import requests

    if isinstance(error, MemlmError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout) or "Max retries exceeded" in str(error):
        return "cannot connect"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "timed out"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection dropped"
    if isinstance(error, requests.RequestException):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    if isinstance(error, UnicodeError):
        return "not a usable URL"
    return "the file's sha256 is not the known one"  # pooch's ValueError


def _from_mirrors(stage: _Stage, urls: Iterable[str]) -> None:
    """Each mirror in turn for what is still wanted, until all that is required is here."""
    import requests

    failures: list[str] = []
    dead: set[tuple[str, str]] = set()
    for url in urls:
        address = urllib.parse.urlsplit(url)
        host = (address.scheme, address.netloc)
        stage.bad.clear()
        reason = "cannot connect"
        if host not in dead:  # offline, a second try at the same host would only take time
            try:
                _from_mirror(stage, url)
                reason = stage.lacking()
            except (requests.RequestException, ValueError) as error:
                reason = _reason(error)
                if reason == "cannot connect":
                    dead.add(host)
        if not stage.lacking():
            return
        failures.append(f"{url} ({reason})")
    name = stage.dataset.name
    raise MemlmError(
        f"cannot get {name}: {'; '.join(failures)}; import it instead from a folder, a file, an archive or a URL: "
        f"memlm data get {name} --from PATH"
    )


# ------------------------------------------------------------------------------------------------- generating


def _generate(stage: _Stage) -> None:
    """Write the stories and their floor."""
    from memlm.data import stories

    splits = stories.generate(seed=stage.dataset.seed or stories.DEFAULT_SEED)
    for split, file in stage.dataset.split_files.items():
        stage.offer(file, [("\n".join(splits[split].lines) + "\n").encode()])
    if problem := stage.lacking():
        raise MemlmError(
            f"cannot generate {stage.dataset.name}: {problem}; this is a fault of memlm, please report it"
        )
    floors = {
        name: {
            "tokens": split.tokens,
            "floor_nats": split.floor_nats,
            "floor_perplexity": split.floor_perplexity,
        }
        for name, split in splits.items()
    }
    text = json.dumps({"seed": stage.dataset.seed, "splits": floors}, indent=1) + "\n"
    (stage.folder / FLOOR).write_text(text, encoding="utf-8")
    stage.good[FLOOR] = FileResult(path=FLOOR)


_FLOOR_KEYS = ("tokens", "floor_nats", "floor_perplexity")


def _read_floor(path: Path) -> dict[str, dict[str, float]]:
    splits = json.loads(path.read_text(encoding="utf-8"))["splits"]
    return {split: {key: float(splits[split][key]) for key in _FLOOR_KEYS} for split in splits}


def floor(name: str, root: Path | None = None) -> dict[str, dict[str, float]]:
    """The exact entropy floor of a generated dataset: split -> tokens, floor_nats (total), floor_perplexity.

    Empty for a dataset whose entropy nobody knows. Raises MemlmError if the dataset is not there.
    """
    if not lookup(name).generated:
        return {}
    path = _place(name, root) / FLOOR
    try:
        return _read_floor(path)
    except OSError:
        raise MemlmError(f"no {path}; run: memlm data get {name}") from None
    except (ValueError, KeyError, TypeError):
        raise MemlmError(f"{path} is damaged; move {path.parent} away and run: memlm data get {name}") from None


# --------------------------------------------------------------------------------------------------- the verbs


def data_root() -> Path:
    """Where datasets lie: `MEMLM_DATA`, or `data` in the current folder."""
    return Path(os.environ.get("MEMLM_DATA") or "data").expanduser()


def _place(name: str, root: Path | None) -> Path:
    return (data_root() if root is None else root) / name


def present(name: str, root: Path | None = None) -> bool:
    """Whether anything lies in the dataset's place, checked or not."""
    return _occupied(_place(lookup(name).name, root))


def _occupied(place: Path) -> bool:
    if place.is_dir():
        return any(place.iterdir())
    if place.exists() or place.is_symlink():
        raise MemlmError(f"{place} is in the way: it is not a folder")
    return False


@contextmanager
def _workshop(root: Path) -> Iterator[Path]:
    """A hidden folder beside the datasets, gone afterwards whatever happens."""
    new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".memlm-", suffix=".partial", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if new:
            with suppress(OSError):  # it is empty only if nothing came of it
                root.rmdir()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise MemlmError(f"cannot read or write{where}: {error.strerror or error}") from None


def _install(stage: _Stage, place: Path) -> None:
    """One rename. Should another process have been quicker, what it put there is checked and kept."""
    _write_manifest(stage.folder, stage.dataset, stage.good.values())
    try:
        stage.folder.rename(place)
    except OSError:
        if not _occupied(place):
            raise
        _settle(place, stage.dataset)


def _gather(stage: _Stage, source: str | None) -> None:
    if stage.dataset.generated:
        if source is not None:
            raise MemlmError(f"{stage.dataset.name} is generated, not imported: leave out --from")
        _generate(stage)
    elif source is None:
        _from_mirrors(stage, stage.dataset.mirrors)
    elif re.match(r"https?://", source, re.IGNORECASE):
        _from_mirrors(stage, [source])
    elif re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
        raise MemlmError(f"cannot import from {source}: only http and https URLs, files and folders")
    else:
        _from_path(stage, source)


def get(name: str, *, source: str | None = None, root: Path | None = None, report: Report | None = None) -> Path:
    """Put a dataset in its place, from its mirrors or from `source`, and return its folder.

    `source` is a folder, a file, an archive or a base URL. What is there and right is left alone, what is
    there and wrong is never written over. Raises MemlmError, with nothing left half-written.
    """
    dataset, report = lookup(name), report or Report()
    place = _place(name, root)
    with _disk_errors():
        if _occupied(place):
            _settle(place, dataset)
            report.say(f"{name} is already there and verified: {place}")
            if absent := [file.path for file in dataset.files if not (place / file.path).exists()]:
                report.say(f"optional and not there: {', '.join(absent[:3])}{', ...' * (len(absent) > 3)}")
            return place
        with _workshop(place.parent) as folder:
            stage = _Stage(dataset=dataset, folder=folder / name, scratch=folder, report=report)
            stage.folder.mkdir()
            _gather(stage, source)
            for file in stage.wanted():
                report.say(f"left out (optional): {file.path} {stage.bad.get(file.path, 'is missing')}")
            _install(stage, place)
    report.say(f"{name} is there and verified: {place}")
    return place


def ensure(name: str, *, root: Path | None = None, report: Report | None = None) -> Path:
    """The dataset's folder, got first if it is not there; a cheap check if it is. Raises MemlmError."""
    place = _place(lookup(name).name, root)
    with _disk_errors():
        if not _occupied(place):
            return get(name, root=root, report=report)
        _settle(place, lookup(name))
    return place


def verify(name: str, *, root: Path | None = None) -> list[FileResult]:
    """Every file read whole: sha256 and counts against the catalogue. Raises MemlmError if nothing is there."""
    dataset, place = lookup(name), _place(name, root)
    with _disk_errors():
        if not _occupied(place):
            raise MemlmError(f"{name} is not in {place.parent}; run: memlm data get {name}")
        return _check_folder(place, dataset)


def split_files(name: str, *, root: Path | None = None) -> dict[str, Path]:
    """Train, valid and test of a dataset that has one file each, got first if it is not there.

    Raises MemlmError for a dataset that is split otherwise.
    """
    files = lookup(name).split_files
    if not files:
        raise MemlmError(f"{name} has no train, valid and test files: {lookup(name).split_rule}")
    place = ensure(name, root=root)
    return {split: place / file.path for split, file in files.items()}
