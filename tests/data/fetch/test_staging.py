"""Files are gathered from folders and archives, and only right ones are kept."""

import dataclasses
import gzip
import shutil

import pytest

from memlm.data.catalog.entries import DataFile
from memlm.data.fetch import get
from tests.helpers.mirrors import BOGUS, CHARS, EXTRA, TEXTS, assert_whole, fails, pinned, tarred, toy, zipped


def test_import_from_a_folder_a_sub_folder_and_a_base_url(server, root, source, tmp_path):
    deep = tmp_path / "deep/simple-examples/data"
    shutil.copytree(source, deep)
    for given in (str(source), str(tmp_path / "deep"), f"{server.url}/good"):
        get.get_dataset("toy", source=given)
        assert_whole(root / "toy")
        shutil.rmtree(root)


@pytest.mark.parametrize("name", ["toy.zip", "toy.tgz", "named-by-nobody"])
def test_import_from_an_archive(root, tmp_path, name):
    members = {f"./data/{file}": text for file, text in TEXTS.items()} | {"data/more/extra.txt": EXTRA}
    archive = tmp_path / name
    archive.write_bytes(zipped(members) if name == "toy.zip" else tarred(members))
    get.get_dataset("toy", source=str(archive))
    assert_whole(root / "toy")
    assert (root / "toy/more/extra.txt").read_bytes() == EXTRA
    shutil.rmtree(root)
    if name.startswith("toy"):  # a folder that holds the archive serves too
        get.get_dataset("toy", source=str(tmp_path))
        assert_whole(root / "toy")


@pytest.mark.parametrize("name", ["single", "other-name.gz", "single.txt.gz"])
def test_import_of_a_single_file_dataset(root, add, tmp_path, name):
    text = TEXTS["toy.train.txt"]
    add(toy(files=(pinned("single", text),)))
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    get.get_dataset("toy", source=str(tmp_path / name))
    assert (root / "toy/single").read_bytes() == text


def test_what_cannot_be_imported_is_said_and_leaves_nothing(root, add, source, tmp_path):
    add(toy(BOGUS, lookalikes=(("*.char.*", "the character-level toy"),)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "chars").mkdir()
    (tmp_path / "chars/toy.char.train.txt").write_bytes(CHARS)
    (tmp_path / "unnamed").write_bytes(CHARS)
    (tmp_path / "garbage.zip").write_bytes(b"PK garbage")
    for given, reason in {
        str(tmp_path / "absent"): "no file or folder at",
        "": "no file or folder at",
        "x" * 5000: "File name too long",
        "ftp://host/x": "no file or folder at",
        str(tmp_path / "empty"): "it lacks toy.train.txt, toy.valid.txt, toy.test.txt",
        str(source / "toy.train.txt"): "it lacks toy.valid.txt, toy.test.txt",
        str(tmp_path / "chars"): "toy.char.train.txt is the character-level toy",
        str(tmp_path / "chars/toy.char.train.txt"): "toy.char.train.txt is the character-level toy",
        str(tmp_path / "unnamed"): "it lacks toy.train.txt",
        str(tmp_path / "garbage.zip"): "is not an archive, or it is damaged",
    }.items():
        assert reason in fails("toy", source=given)


def test_an_unpinned_file_has_a_limit(root, add, source):
    add(toy(BOGUS, files=tuple(dataclasses.replace(file, at_most=10) for file in toy(BOGUS).files)))
    (source / "more").mkdir()
    (source / "more/extra.txt").write_bytes(EXTRA * 100)
    said: list[str] = []
    get.get_dataset("toy", source=str(source), say=said.append)
    assert said[0].startswith("left out (optional): more/extra.txt")
    assert_whole(root / "toy")


def test_a_file_is_never_cut_in_silence(root, add, tmp_path):
    add(toy(files=(DataFile(path="head", at_most=20, lines=1),)))
    given = tmp_path / "given"
    given.write_bytes(b"one two three four five six seven")
    assert "head is longer than 20 bytes, the limit for this file" in fails("toy", source=str(given))
    given.write_bytes(b"one two three four f")
    assert (get.get_dataset("toy", source=str(given)) / "head").read_bytes() == given.read_bytes()
