"""Unpack archives without trusting them. Members are streamed, and the caller decides where they are written.

Sizes are not trusted either: all unpacked bytes count towards the limits, skipped members and headers included.
"""

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from memlm.data.catalog.entries import is_archive
from memlm.data.fetch.check import CHUNK, HTML_PAGE, is_html
from memlm.errors import MemlmError

ARCHIVE_LIMIT = 1 << 30  # bytes of an archive, and of all its members: more is a bomb
MEMBER_LIMIT = 100_000
HEADER_LIMIT = 1 << 13  # bytes of a tar's extended header, which Python reads in one piece and in quadratic time
HEADERS_LIMIT = 1 << 22  # bytes of all extended headers
COMPRESSED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (rb"\x1f\x8b", gzip.open),
    (rb"BZh[1-9]1AY&SY", bz2.open),
    (rb"\xfd7zXZ\x00", lzma.open),
)


class Member(NamedTuple):
    """A member of an archive. Its bytes must be read before the next member."""

    name: str
    kind: str  # "file", "single" (not in an archive), "folder", or a kind that is refused
    size: int
    chunks: Iterator[bytes]


def members(path: Path) -> Generator[Member]:
    """The files of a zip or tar, whatever its name; the one file of a gzip; or the file itself.

    Raises MemlmError if the archive is damaged, too large, or has a link, a device or a path that leaves the folder.
    """
    with _sound(path):
        found = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)
        with closing(found):
            yield from _checked(path, found)


def _checked(path: Path, found: Iterator[Member]) -> Generator[Member]:
    total = 0
    for number, member in enumerate(found):
        if problem := _refusal(member):
            raise MemlmError(f"{path.name} is refused: its member {member.name!r} {problem}")
        total += member.size
        if total > ARCHIVE_LIMIT or number >= MEMBER_LIMIT:
            raise MemlmError(f"{path.name} is refused: it is too large, from its member {member.name!r} on")
        if member.kind in ("file", "single"):
            yield member


def _refusal(member: Member) -> str:
    """Why an archive with this member is refused; empty if it is not."""
    if member.kind == "single":
        return ""
    parts = re.split(r"[/\\]", member.name)
    if parts[0] == "" or re.match(r"[A-Za-z]:", member.name):
        return "is an absolute path"
    if ".." in parts:
        return "leaves the folder"
    return "" if member.kind in ("file", "folder") else f"is a {member.kind}"


def _zip_members(path: Path) -> Generator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            kind = "link" if link else "folder" if info.filename.endswith("/") else "file"
            yield Member(info.filename, kind, info.file_size, _chunks(path, partial(archive.open, info)))


def _tar_members(path: Path) -> Generator[Member]:
    """The members of a tar, compressed or not. Any other file is its own single member."""
    with path.open("rb") as file:
        head = file.read(4096)
    opened: Callable[..., IO[bytes]] = next((way for magic, way in COMPRESSED if re.match(magic, head)), Path.open)
    with opened(path, "rb") as stream:
        forward = _Forward(stream)
        try:
            archive = tarfile.TarFile(fileobj=forward)  # type: ignore[arg-type]
        except tarfile.TarError:
            archive = None
        while archive is not None and (info := archive.next()) is not None:
            yield Member(info.name, _tar_kind(info), info.size, _checked_chunks(path, forward.part(info.size)))
    if archive is None:
        if opened is Path.open and is_archive(path.name):
            raise MemlmError(f"{path.name} {HTML_PAGE if is_html(head) else 'is not an archive, or it is damaged'}")
        name = path.absolute().as_posix().removesuffix(".gz")
        yield Member(name, "single", path.stat().st_size, _chunks(path, partial(opened, path, "rb")))


def _chunks(path: Path, opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with _sound(path), opened() as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _checked_chunks(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    with _sound(path):
        yield from chunks


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.size < 0:
        return "file of negative size"
    if info.issparse():
        return "sparse file"
    if info.issym() or info.islnk():
        return "link"
    return "folder" if info.isdir() else "file" if info.isreg() else "device"


class _Forward:
    """A stream for Python's tar reader that only moves forward, and limits the size of headers and of the whole.

    It raises ValueError, which the reader does not catch.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.at = self.headers = 0

    def tell(self) -> int:
        return self.at

    def seek(self, position: int) -> int:
        if position < self.at:
            raise ValueError("a member points backwards")
        for _ in self.part(position - self.at):
            pass
        return self.at

    def read(self, size: int) -> bytes:
        """A header, or its continuation."""
        self.headers += size if size > tarfile.BLOCKSIZE else 0
        if not 0 <= size <= HEADER_LIMIT or self.headers > HEADERS_LIMIT:
            raise ValueError(f"a header of {size:,} bytes")
        return self._read(size)

    def part(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes."""
        while size > 0 and (chunk := self._read(min(size, CHUNK))):
            size -= len(chunk)
            yield chunk
        if size > 0:
            raise ValueError("unexpected end of data")

    def _read(self, size: int) -> bytes:
        chunk = self.stream.read(size)
        self.at += len(chunk)
        if self.at > 2 * ARCHIVE_LIMIT:  # members and the headers between them
            raise ValueError("it is too large")
        return chunk


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Turn every error of the archive readers into a MemlmError."""
    try:
        yield
    except MemlmError:
        raise
    except (
        *(OSError, EOFError, ValueError, OverflowError, RuntimeError),  # RuntimeError: encrypted
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; an archive's error has no number
            raise
        raise MemlmError(f"{path.name} is not an archive, or it is damaged ({error})") from None
