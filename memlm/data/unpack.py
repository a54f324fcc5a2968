"""Archives, none of which is trusted with a path: what they hold is streamed, and the caller says where to."""

import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from memlm.data.catalog import is_archive
from memlm.data.check import CHUNK
from memlm.errors import MemlmError

ARCHIVE_LIMIT = 1 << 30  # bytes of an archive, and of all that it says to hold: more is a bomb


class Member(NamedTuple):
    """A file with its bytes, to be read before the next member."""

    name: str
    kind: str  # "file", "alone" without an archive around it, "folder", or what it is that is refused
    size: int
    chunks: Iterator[bytes]


def members(path: Path) -> Iterator[Member]:
    """The files in a zip or tar, whatever its name; the one file of a gzip; or the file itself.

    Raises MemlmError for an archive that is damaged, too large, or has a link, a device or a path that leads out.
    """
    with _sound(path):
        if zipfile.is_zipfile(path):
            yield from _checked(path, _zip_members(path))
        elif tarfile.is_tarfile(path):
            yield from _checked(path, _tar_members(path))
        else:
            name = path.absolute().as_posix().removesuffix(".gz")
            with gzip.open(path) if is_archive(path.name) else path.open("rb") as stream:
                stream.peek(1)  # finds fault with what only has the name of an archive
                yield Member(name, "alone", path.stat().st_size, _pieces(path, lambda: stream))


def _checked(path: Path, found: Iterator[Member]) -> Iterator[Member]:
    total = 0
    for member in found:
        if problem := _refusal(member):
            raise MemlmError(f"{path.name} is refused: its member {member.name!r} {problem}")
        total += member.size
        if total > ARCHIVE_LIMIT:
            raise MemlmError(f"{path.name} is refused: too much in it, from its member {member.name!r} on")
        if member.kind == "file":
            yield member


def _refusal(member: Member) -> str:
    """Why an archive with this member is not trusted; empty if it is."""
    parts = re.split(r"[/\\]", member.name)
    if parts[0] == "" or re.match(r"[A-Za-z]:", member.name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of the folder"
    return "" if member.kind in ("file", "folder") else f"is a {member.kind}"


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            kind = "link" if link else "folder" if info.is_dir() else "file"
            yield Member(info.filename, kind, info.file_size, _pieces(path, partial(archive.open, info)))


def _tar_members(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            link = info.issym() or info.islnk()
            kind = "link" if link else "folder" if info.isdir() else "file" if info.isreg() else "device"
            yield Member(info.name, kind, info.size, _pieces(path, partial(archive.extractfile, info)))


def _pieces(path: Path, opened: Callable[[], IO[bytes] | gzip.GzipFile | None]) -> Iterator[bytes]:
    with _sound(path), opened() or io.BytesIO() as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """All the ways in which the readers find fault with an archive, as one MemlmError."""
    try:
        yield
    except MemlmError:
        raise
    except (
        *(OSError, EOFError, ValueError, OverflowError, RuntimeError),  # RuntimeError: encrypted
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's; the archive's has no number
            raise
        raise MemlmError(f"{path.name} is not an archive, or a damaged one ({error})") from None
