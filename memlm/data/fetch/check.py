"""Check a dataset's files against the catalogue: kind, size, sha256, counts. A manifest saves reading them again."""

import hashlib
import json
import re
from codecs import getincrementaldecoder
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memlm import jsontext
from memlm.data.catalog.entries import DataFile, Dataset
from memlm.data.corpus.reading import WORD_LIMIT
from memlm.data.vocabulary.words import EOS
from memlm.errors import MemlmError

MANIFEST = ".memlm.json"
CHUNK = 1 << 18  # bytes
HTML_PAGE = "is an HTML page, not the file"

Snapshot = dict[str, list[int | str | None]]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The hashes and counts of a text file. `words` counts one `<eos>` per line too."""

    size: int
    sha256: str
    sha1: str
    lines: int
    questions: int
    words: Counter[str]

    @property
    def tokens(self) -> int:
        """How many words, with one `<eos>` per line."""
        return self.words.total()

    @property
    def types(self) -> int:
        """Distinct tokens."""
        return len(self.words)


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """The check of one file. `problem` is empty if there is none; `ok` is also true for a missing optional file."""

    path: str
    problem: str
    ok: bool
    size: int | None = None
    sha256: str | None = None
    lines: int | None = None
    tokens: int | None = None
    types: int | None = None


def scan(path: Path) -> Scan:
    """Hash and count a file in one pass and little memory, however long its lines.

    Raises MemlmError if the file is empty or not UTF-8, with the byte.
    """
    digest, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    decoder = getincrementaldecoder("utf-8")()
    words: Counter[str] = Counter()
    size = lines = tabs = 0
    data, rest = b"", ""
    with path.open("rb") as file:
        while True:
            last, data = data, file.read(CHUNK)
            held = len(decoder.getstate()[0])
            try:
                text = rest + decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise MemlmError(f"{path} is not UTF-8 text (byte {size - held + error.start})") from None
            # An unfinished word waits for the next chunk. Chunks are not lines: text8 is a single line.
            cut = max(text.rfind(" "), text.rfind("\n")) + 1 if data else len(text)
            piece, rest = text[:cut], text[cut:]
            if len(rest) > WORD_LIMIT:
                raise MemlmError(f"{path} is not text: a word of more than {WORD_LIMIT:,} characters")
            digest.update(data)
            sha1.update(data)
            size += len(data)
            words.update(piece.split())
            lines += piece.count("\n")
            tabs += piece.count("\t")
            if not data:
                break
    if size == 0:
        raise MemlmError(f"{path} is empty")
    lines += not last.endswith(b"\n")
    words[EOS] += lines
    hashes = {"sha256": digest.hexdigest(), "sha1": sha1.hexdigest()}
    return Scan(**hashes, size=size, lines=lines, questions=tabs // 2, words=words)


def is_html(head: bytes) -> bool:
    """Whether a file with this beginning is a web page, which some servers send instead of the file."""
    return re.match(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head)", head, re.IGNORECASE) is not None


def _sniff(path: Path, file: DataFile) -> str:
    """What a file obviously is instead of the one in the catalogue, from its first bytes; empty if nothing is odd."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if is_html(head):
        return HTML_PAGE
    if not head.startswith(file.begins):
        return f"does not begin with {file.begins.decode()!r}, as {file.path} does"
    words = head.decode("utf-8", "replace").split()
    if file.tokens and "_" in words and sum(len(word) == 1 for word in words) > 0.9 * len(words):
        return "is character-level text (like ptb.char.train.txt); the word-level file is needed"
    return ""


def _difference(found: Scan, file: DataFile, dataset: Dataset) -> str:
    """How a text differs from the catalogue; empty if it does not."""
    for sha256, meaning in dataset.impostors:
        if found.sha256 == sha256:
            return f"is {meaning}"
    if file.size is not None and found.size != file.size:
        # A download stops one byte after the known size.
        shown = f"more than {file.size:,}" if found.size > file.size else f"{found.size:,}"
        return f"is not the known file: {shown} bytes instead of {file.size:,}"
    if file.size is None and found.size > file.at_most:
        return f"is longer than {file.at_most:,} bytes, the limit for this file"
    if file.sha256 is not None and found.sha256 != file.sha256:
        return f"is not the known file: sha256 {found.sha256[:12]}... instead of {file.sha256[:12]}..."
    if file.sha1 is not None and found.sha1 != file.sha1:
        return f"is not the known file: sha1 {found.sha1[:12]}... instead of {file.sha1[:12]}..."
    for what in ("lines", "tokens", "types", "questions"):
        known, counted = getattr(file, what), getattr(found, what)
        if known is not None and counted != known:
            return f"has {counted:,} {what} instead of {known:,}"
    return ""


def check_file(path: Path, file: DataFile, dataset: Dataset) -> FileResult:
    """Check a file on disk against the catalogue."""
    if not path.exists():
        return FileResult(path=file.path, problem="is missing", ok=not file.required)
    if problem := _sniff(path, file):
        return FileResult(path=file.path, problem=problem, ok=False)
    try:
        found = scan(path)
    except MemlmError as error:
        return FileResult(path=file.path, problem=str(error).removeprefix(f"{path} "), ok=False)
    problem = _difference(found, file, dataset)
    return FileResult(
        path=file.path,
        problem=problem,
        ok=not problem,
        size=found.size,
        sha256=found.sha256,
        lines=found.lines,
        tokens=found.tokens,
        types=found.types,
    )


def check_folder(folder: Path, dataset: Dataset) -> list[FileResult]:
    """Check every file of a dataset's folder. All are read whole."""
    return [check_file(folder / file.path, file, dataset) for file in dataset.files]


def snapshot(folder: Path, dataset: Dataset) -> Snapshot:
    """Size, time and catalogued hash of each file that is there. A check stays valid while these do not change."""
    paths = {file: folder / file.path for file in dataset.files}
    stats = {file: path.stat() for file, path in paths.items() if path.exists()}
    return {file.path: [stat.st_size, stat.st_mtime_ns, file.sha256] for file, stat in stats.items()}


def write_manifest(folder: Path, verified: Snapshot) -> None:
    """Record what was verified. The write need not be atomic: a damaged record only costs another check."""
    (folder / MANIFEST).write_text(json.dumps(verified, indent=1) + "\n", encoding="utf-8")


def ensure_verified(folder: Path, dataset: Dataset) -> None:
    """Check the dataset in a folder, by its manifest if that is valid. Raises MemlmError with the remedy."""
    now = snapshot(folder, dataset)
    with suppress(OSError, ValueError):
        if jsontext.read(folder / MANIFEST) == now:
            return
    for result in check_folder(folder, dataset):
        if not result.ok:
            raise MemlmError(
                f"{folder / result.path} {result.problem}; nothing was changed: move the folder away "
                f"(mv {folder} {folder}.old) and run: memlm data get {dataset.name}"
            )
    with suppress(OSError):  # the folder may be read-only
        write_manifest(folder, now)
