"""Malformed texts, datasets, encoded texts and archives."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from memlm.data import dataset
from memlm.data.corpus import encoded
from memlm.data.corpus.encoded import load_encoded
from memlm.data.corpus.reading import TextFile
from memlm.data.fetch import check, get
from memlm.data.vocabulary.words import Vocabulary
from tests.helpers.fuzzing import Fuzz, damaged
from tests.helpers.mirrors import BOGUS, EXTRA, TEXTS, tarred, toy, zipped

pytestmark = pytest.mark.soak

PIECES = [b"a", b"b ", b"\n", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xa9", "\u2028".encode(), b"<eos>"]
TEXT = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))


def test_texts(fuzz: Fuzz):
    def attempt(texts: tuple[bytes, bytes, bytes]) -> None:
        for split, text in zip(("train", "valid", "test"), texts, strict=True):
            (fuzz.inside / f"{split}.txt").write_bytes(text)
        data = dataset.load_dataset(str(fuzz.inside))
        for text, of_split in zip(texts, data.splits.values(), strict=True):
            assert of_split.tokens.max() < len(data.vocabulary)
            lines = text.removeprefix(b"\xef\xbb\xbf").decode().removesuffix("\n").split("\n")
            assert len(of_split.tokens) == sum(len(line.split()) + 1 for line in lines)
        data.vocabulary.save(fuzz.inside)
        assert Vocabulary.load(fuzz.inside).words == data.vocabulary.words

    fuzz(attempt, st.tuples(TEXT, TEXT, TEXT), short=60, long=3000)


def test_encoded_texts(fuzz: Fuzz, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoded, "WORTH_CACHING", 0)
    text = fuzz.inside / "text"
    text.write_text("the cat sat on the dog\n\nthe mat")
    expected = load_encoded(TextFile(text), vocabulary)
    (place,) = (fuzz.inside / "data/encoded").iterdir()

    def attempt(content: bytes) -> None:
        place.unlink()  # what is mapped stays as it is
        place.write_bytes(content)
        found = load_encoded(TextFile(text), vocabulary)
        assert found.oov == expected.oov
        assert np.array_equal(found.tokens, expected.tokens)

    fuzz(attempt, damaged(place.read_bytes()), short=40, long=1500)


def test_datasets_in_place(fuzz: Fuzz, add: Callable[[Any], None]):
    add(toy(BOGUS))
    place = fuzz.inside / "data/toy"
    place.mkdir(parents=True)
    files = dict(TEXTS)
    for name, text in files.items():
        (place / name).write_bytes(text)
    get.get_dataset("toy")
    files[check.MANIFEST] = (place / check.MANIFEST).read_bytes()

    def attempt(change: tuple[str, bytes]) -> None:
        name, content = change
        for other, text in TEXTS.items():  # the same time and size as noted, or the manifest is no use
            if (place / other).read_bytes() != text:
                (place / other).write_bytes(text)
        (place / name).write_bytes(content)
        get.get_dataset("toy")
        assert name == check.MANIFEST or content == TEXTS[name]

    change = st.sampled_from(list(files)).flatmap(lambda name: st.tuples(st.just(name), damaged(files[name])))
    fuzz(attempt, change, short=40, long=1500)


def names(fuzz: Fuzz) -> st.SearchStrategy[str]:
    """Names of members: right ones, and ones that lead to the precious file by every way there is."""
    there = fuzz.outside / "precious"
    hostile = ["../" * n + "outside/precious" for n in range(5)]
    hostile += [str(there), f"/{there}", "..\\..\\outside\\precious", "C:\\x", "", ".", "/", "//", "a/../b", "a\0b"]
    hostile += ["toy.train.txt/../../../../outside/precious", "~/precious", "\udcff", "x" * 300]
    return st.sampled_from([*TEXTS, *(f"deep/{name}" for name in TEXTS), *hostile]) | st.text(max_size=12)


def tar_of(fuzz: Fuzz) -> st.SearchStrategy[bytes]:
    kinds = [
        *tarfile.REGULAR_TYPES,
        *(getattr(tarfile, f"{kind}TYPE") for kind in ("LNK", "SYM", "CHR", "BLK", "DIR")),
    ]
    kinds += [
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_SPARSE,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        b"z",
    ]
    body = st.sampled_from([*TEXTS.values(), b"", b"x", b"11 size=-9\n", b"30 GNU.sparse.map=1,2,3,4,5,6\n"])
    body |= st.binary(max_size=40)
    size = st.none() | st.sampled_from([0, 1, 511, 512, 513, -1, -512, 1 << 20, 1 << 33, 1 << 62])
    member = st.tuples(names(fuzz), st.sampled_from(kinds), body, size, names(fuzz))

    def build(members: list[tuple[str, bytes, bytes, int | None, str]], form: Any) -> bytes:
        data = io.BytesIO()
        for name, kind, text, said, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, len(text) if said is None else said
            try:
                data.write(info.tobuf(form, errors="surrogateescape"))
            except ValueError:  # this form can't hold such a name
                data.write(tarfile.TarInfo("x").tobuf())
            data.write(text + bytes(-len(text) % tarfile.BLOCKSIZE))
        return data.getvalue()

    forms = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    return st.builds(build, st.lists(member, max_size=5), forms)


def zip_of(fuzz: Fuzz) -> st.SearchStrategy[bytes]:
    body = st.sampled_from([*TEXTS.values(), bytes(5000), b""]) | st.binary(max_size=40)
    modes = st.sampled_from([0o100644, 0o120777, 0o040755, 0o020666, 0])
    ways = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])

    def build(members: list[tuple[str, bytes, int, int]]) -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for number, (name, text, mode, way) in enumerate(members):
                info = zipfile.ZipInfo(name.encode(errors="replace").decode() or str(number))
                info.external_attr, info.compress_type = mode << 16, way
                archive.writestr(info, text)
        return data.getvalue()

    return st.lists(st.tuples(names(fuzz), body, modes, ways), max_size=4, unique_by=lambda member: member[0]).map(
        build
    )


def test_archives(fuzz: Fuzz, add: Callable[[Any], None]):
    add(toy(BOGUS))
    source, root = fuzz.inside / "source", fuzz.inside / "data"
    source.mkdir()
    whole = TEXTS | {"more/extra.txt": EXTRA}

    def attempt(archive: tuple[str, bytes]) -> None:
        name, content = archive
        (source / name).write_bytes(content)
        try:
            place = get.get_dataset("toy", source=str(source / name))
            found = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.txt")}
            assert found.items() >= TEXTS.items()  # hashes alone decide
            assert found.keys() <= whole.keys()
        finally:
            (source / name).unlink()
            shutil.rmtree(root, ignore_errors=True)
        assert not list(source.iterdir())

    packed = [zipped(whole), tarred(whole), gzip.compress(TEXTS["toy.train.txt"])]
    made = tar_of(fuzz) | zip_of(fuzz)
    made |= st.builds(lambda way, content: way(content), st.sampled_from([gzip.compress, bz2.compress]), tar_of(fuzz))
    made |= tar_of(fuzz).map(lambda content: lzma.compress(content, preset=0))
    content = st.one_of(*(damaged(whole) for whole in packed), made, made)
    files = st.sampled_from(["toy.zip", "toy.tar.gz", "toy.tgz", "toy.tar", "toy.txt.gz", "toy"])
    fuzz(attempt, st.tuples(files, content), short=80, long=5000)
