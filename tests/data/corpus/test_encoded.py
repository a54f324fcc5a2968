"""Encoded texts are made once, found again by content, never trusted when damaged, and never in the way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from memlm.data import dataset
from memlm.data.catalog.entries import SPLITS
from memlm.data.corpus import cache, counts, encoded
from memlm.data.corpus.encoded import HEADER_SIZE, load_encoded
from memlm.data.corpus.reading import EncodedText, TextFile, read_words
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError

TEXT = "the cat sat on the dog\n\nthe mat"
IDS = [2, 3, 4, 5, 2, 1, 0, 0, 2, 6, 0]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(encoded, "WORTH_CACHING", 0)
    monkeypatch.setattr(counts, "WORTH_CACHING", 0)  # these texts are small
    return tmp_path / "data"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(TEXT)
    return path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The texts that were encoded, in order; a hit adds none."""
    texts: list[Path] = []

    def noted(text: TextFile) -> Iterator[list[str]]:
        texts.append(text.path)
        return read_words(text)

    monkeypatch.setattr(encoded, "read_words", noted)
    return texts


def files(root: Path) -> list[Path]:
    return sorted((root / "encoded").iterdir())


def is_right(found: EncodedText) -> bool:
    return found.tokens.tolist() == IDS and found.unknown.tolist() == [5] and found.characters == len(TEXT) + 1


def test_a_text_is_encoded_once_and_then_mapped(root: Path, text: Path, vocabulary: Vocabulary, made: list[Path]):
    for _ in range(2):
        found = load_encoded(TextFile(text), vocabulary)
        assert is_right(found)
        assert isinstance(found.tokens, np.memmap)
        assert found.tokens.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            found.tokens[0] = 1
        assert made == [text]
        assert len(files(root)) == 1


def test_content_is_the_key(root: Path, text: Path, vocabulary: Vocabulary, made: list[Path]):
    load_encoded(TextFile(text), vocabulary)
    stat = text.stat()
    text.write_text(TEXT.replace("cat", "mat"))
    os.utime(text, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # neither time nor size tells
    assert load_encoded(TextFile(text), vocabulary).tokens.tolist() == [2, 6, *IDS[2:]]
    assert made == [text, text]
    elsewhere = text.with_name("elsewhere")
    elsewhere.write_text(TEXT)
    assert is_right(load_encoded(TextFile(elsewhere), vocabulary))
    assert made == [text, text]
    assert len(files(root)) == 2


def test_the_vocabulary_is_in_the_key(root: Path, text: Path, vocabulary: Vocabulary):
    load_encoded(TextFile(text), vocabulary)
    found = load_encoded(TextFile(text), Vocabulary(vocabulary.words[::-1]))
    assert found.tokens.tolist() == [6 - i for i in IDS]
    assert len(files(root)) == 2


def test_the_format_is_in_the_key(root: Path, text: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch):
    load_encoded(TextFile(text), vocabulary)
    monkeypatch.setattr(encoded, "FORMAT", encoded.FORMAT + 1)
    load_encoded(TextFile(text), vocabulary)
    assert len(files(root)) == 2


@pytest.mark.parametrize("damage", ["empty", "header", "short", "long", "zeros", "id", "oov", "hash", "folder"])
def test_a_damaged_file_is_made_anew(damage: str, root: Path, text: Path, vocabulary: Vocabulary, made: list[Path]):
    load_encoded(TextFile(text), vocabulary)
    (place,) = files(root)
    whole = place.read_bytes()
    place.unlink()
    if damage == "folder":
        place.mkdir()
    else:
        flipped = {"id": HEADER_SIZE + 4, "oov": 8, "hash": 20}
        damaged = {"empty": b"", "header": whole[:8], "short": whole[:-1], "long": whole + b"\0", "zeros": bytes(76)}
        damaged |= {what: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for what, at in flipped.items()}
        place.write_bytes(damaged[damage])
    assert is_right(load_encoded(TextFile(text), vocabulary))
    assert made[:2] == [text, text]
    if damage == "folder":
        place.rmdir()
        assert is_right(load_encoded(TextFile(text), vocabulary))
    assert place.read_bytes() == whole
    assert files(root) == [place]


def test_a_data_folder_that_cannot_be_written_is_done_without(root: Path, text: Path, vocabulary: Vocabulary):
    root.write_text("in the way")  # permissions would not stop root
    found = load_encoded(TextFile(text), vocabulary)
    assert is_right(found)
    assert not isinstance(found.tokens, np.memmap)
    assert not found.tokens.flags.writeable


@pytest.mark.parametrize(("owner", "function"), [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_leaves_nothing_half_written(
    owner: object, function: str, root: Path, text: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, function, fail)
    assert is_right(load_encoded(TextFile(text), vocabulary))
    assert files(root) == []


def test_a_text_that_changes_meanwhile_is_not_kept(
    root: Path, text: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
):
    hashes = iter(["one", "other"])
    monkeypatch.setattr(cache, "sha256_of", lambda text: next(hashes))
    with pytest.raises(MemlmError, match="changed while it was read"):
        load_encoded(TextFile(text), vocabulary)
    assert files(root) == []


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"the\n\xff", r"is not UTF-8 text \(line 2, byte 1\)")]
)
def test_a_text_that_cannot_be_read_is_an_error(
    content: bytes, message: str, root: Path, text: Path, vocabulary: Vocabulary
):
    text.write_bytes(content)
    with pytest.raises(MemlmError, match=message):
        load_encoded(TextFile(text), vocabulary)
    assert files(root) == []
    with pytest.raises(MemlmError, match="no file at"):
        load_encoded(TextFile(text.with_name("nothing")), vocabulary)


def test_a_dataset_is_mapped(root: Path, corpus: Path, made: list[Path]):
    first, second = dataset.load_dataset(str(corpus)), dataset.load_dataset(str(corpus))
    # valid and test have the same content, and so one file
    assert made == [corpus / "train.txt", corpus / "valid.txt"]
    for split, text in first.splits.items():
        assert isinstance(text.tokens, np.memmap)
        assert dataset.data_sha256(text) == dataset.data_sha256(second.splits[split])
    assert first.vocabulary.words == second.vocabulary.words
    assert dataset.data_sha256(first.splits["valid"]) == dataset.data_sha256(first.splits["test"])


def test_reading_costs_no_torch():
    code = "import sys, memlm.data.dataset; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_penn_treebank_is_mapped(root: Path, real_data: Path, tmp_path: Path):
    for split in SPLITS:
        (tmp_path / f"{split}.txt").symlink_to(real_data / "ptb" / f"ptb.{split}.txt")
    for _ in range(2):
        data = dataset.load_dataset(str(tmp_path))
        assert len(data.vocabulary) == 10_000
        assert [len(text.tokens) for text in data.splits.values()] == [929_589, 73_760, 82_430]
        assert [text.oov for text in data.splits.values()] == [0, 0, 0]
        assert (
            dataset.data_sha256(data.splits["train"])
            == "13ceaa94f7754f019f361799bfe0af70af87d2d5d704777713f8c47abbd875bf"
        )
