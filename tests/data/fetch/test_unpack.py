"""Archives that are not to be trusted: each is refused by name, and nothing is written outside of the data folder."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from contextlib import suppress

import pytest

from memlm.data.fetch import get, unpack
from memlm.errors import MemlmError
from tests.helpers.mirrors import TEXTS, assert_whole, fails, tarred, zipped


def odd_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (odd_member("../outside.txt", tarfile.REGTYPE), "leaves the folder"),
        (odd_member("a/..\\..\\outside.txt", tarfile.REGTYPE), "leaves the folder"),
        (odd_member("/tmp/outside.txt", tarfile.REGTYPE), "is an absolute path"),
        (odd_member("C:/outside.txt", tarfile.REGTYPE), "is an absolute path"),
        (odd_member("toy.test.txt", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (odd_member("toy.test.txt", tarfile.LNKTYPE, "toy.train.txt"), "is a link"),
        (odd_member("null", tarfile.CHRTYPE), "is a device"),
        (odd_member("pipe", tarfile.FIFOTYPE), "is a device"),
    ],
)
def test_a_dangerous_tar_is_refused_by_the_members_name(root, tmp_path, member, reason):
    archive = tmp_path / "toy.tar.gz"
    archive.write_bytes(tarred(TEXTS, member))
    message = fails("toy", source=str(archive))
    assert f"member {member.name!r} {reason}" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "toy.tar.gz"]


def test_a_dangerous_zip_is_refused_by_the_members_name(root, tmp_path):
    link = zipfile.ZipInfo("a-link")
    link.external_attr = 0o120777 << 16
    for name, reason in (("../out", "leaves the folder"), ("/out", "is an absolute path"), (link, "is a link")):
        (tmp_path / "toy.zip").write_bytes(zipped({**TEXTS, name: b"x"}))
        assert reason in fails("toy", source=str(tmp_path / "toy.zip"))


def test_a_bomb_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "ARCHIVE_LIMIT", 1_000_000)
    for name, make in (("toy.zip", zipped), ("toy.tgz", tarred)):
        (tmp_path / name).write_bytes(make({"zeros": bytes(2_000_000)}))
        assert "refused: it is too large, from its member 'zeros' on" in fails("toy", source=str(tmp_path / name))
        (tmp_path / name).write_bytes(make({"toy.train.txt": bytes(900_000)}))
        assert "more than" in fails("toy", source=str(tmp_path / name))


def header(name: str, kind: bytes, size: int, data: bytes = b"") -> bytes:
    """A tar's header of any size, with the data that follow it, padded to whole blocks."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def pax(**records: str) -> bytes:
    """An extended header that overrules the next one."""
    lines = b""
    for key, value in records.items():
        line = f" {key.replace('_', '.')}={value}\n".encode()
        length = len(line) + len(str(len(line) + 2))
        lines += str(length).encode() + line
    return header("pax", tarfile.XHDTYPE, len(lines), lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("long", tarfile.GNUTYPE_LONGNAME, 10 << 30), "a header of 10,737,418,240 bytes"),
        (header("long", tarfile.XHDTYPE, 1 << 20, b"1" * (1 << 20)), "a header of 1,048,576 bytes"),
        (header("long", tarfile.GNUTYPE_LONGNAME, -(1 << 20)), "a header of -1,048,576 bytes"),
        (header("a", tarfile.REGTYPE, 9, b"a") + pax(size="-2048") + header("b", tarfile.REGTYPE, 0), "negative size"),
        (pax(GNU_sparse_size="9", GNU_sparse_map="5,1,0,1") + header("a", tarfile.REGTYPE, 9, b"a"), "a sparse file"),
        (header("a", tarfile.GNUTYPE_SPARSE, 9, b"a"), "a sparse file"),
        (pax(path="../out") + header("a", tarfile.REGTYPE, 1, b"a"), "leaves the folder"),
        (header("a", tarfile.REGTYPE, 10_000, b"a"), "unexpected end of data"),
        (header("a", tarfile.REGTYPE, 10 << 30, b"a"), "it is too large, from its member 'a' on"),
        (header("", tarfile.REGTYPE, 1, b"a"), "is an absolute path"),
        (pax(path="a") * 400 + header("a", tarfile.REGTYPE, 1, b"a"), "is not an archive, or it is damaged"),
    ],
)
def test_a_tar_made_to_mislead_its_reader_is_refused(root, tmp_path, content, reason):
    for name, packed in (("toy.tar", content), ("toy.tgz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        assert reason in fails("toy", source=str(tmp_path / name))


def test_there_is_an_end_to_members_and_headers(root, tmp_path, monkeypatch):
    (tmp_path / "toy.tgz").write_bytes(tarred({f"{i}": b"" for i in range(12)} | TEXTS))
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "MEMBER_LIMIT", 10)
        assert "it is too large, from its member '10' on" in fails("toy", source=str(tmp_path / "toy.tgz"))
    many = b"".join(pax(comment="x" * 700) + header(f"{i}", tarfile.REGTYPE, 0) for i in range(12))
    (tmp_path / "toy.tgz").write_bytes(gzip.compress(many))
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "HEADERS_LIMIT", 10 * 1024)
        assert "a header of 1,024 bytes" in fails("toy", source=str(tmp_path / "toy.tgz"))
    assert "it lacks" in fails("toy", source=str(tmp_path / "toy.tgz"))


def test_a_zip_made_to_mislead_its_reader_is_refused(root, tmp_path):
    whole = zipped(TEXTS)
    at = whole.index(b"PK\x01\x02")  # the directory's entry of the first member
    locked, unknown, lying = (bytearray(whole) for _ in range(3))
    locked[at + 8] |= 1
    unknown[at + 10] = 77
    lying[at + 24 : at + 28] = struct.pack("<I", 5)  # its size
    for content, reason in (
        (locked, "encrypted"),
        (unknown, "not supported"),
        (lying, "Bad CRC-32"),
        (whole[:-30], "is not an archive, or it is damaged"),
    ):
        (tmp_path / "toy.zip").write_bytes(content)
        assert reason in fails("toy", source=str(tmp_path / "toy.zip"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_of_any_making_is_read(root, tmp_path, pack, form):
    data = io.BytesIO()
    deep = "d" * 60 + "/" + "e" * 60
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for name, text in {
            "./README": b"x" * 1024,
            **{f"{deep}/{name}": text for name, text in TEXTS.items()},
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    (tmp_path / "any").write_bytes(pack(data.getvalue()))
    get.get_dataset("toy", source=str(tmp_path / "any"))
    assert_whole(root / "toy")


def test_a_text_that_begins_as_an_archive_does_is_a_text(tmp_path):
    (tmp_path / "text").write_bytes(b"BZh9 and so on")
    (member,) = unpack.members(tmp_path / "text")
    assert member.kind == "single"


def test_every_cut_of_an_archive_is_refused_or_harmless(tmp_path):
    """The end of a tar says nothing: without it, all members are whole."""
    for name, whole in (("toy.zip", zipped(TEXTS)), ("toy.tgz", tarred(TEXTS)), ("toy.txt.gz", gzip.compress(b"abc"))):
        path = tmp_path / name
        texts = [b"abc"] if name == "toy.txt.gz" else list(TEXTS.values())
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with suppress(MemlmError):
                assert [b"".join(member.chunks) for member in unpack.members(path)] == texts
