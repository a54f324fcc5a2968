"""A text that is read piece by piece, by processes of their own, gives the very bytes that reading it through does."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.data import dataset
from memlm.data.corpus import cache, counts, encoded, workers
from memlm.data.corpus.reading import TextFile, encode_blocks, join, read_words, size_of
from memlm.data.corpus.splitting import cut
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError
from tests.helpers.repository import REPOSITORY

TEXTS = st.lists(st.sampled_from(["a", "bc", "é", "\u3000", " ", " ", "\n", "\r\n", "the "])).map("".join)
CONTENT = "".join(f"the cat {i % 7} säat{' on' * (i % 3)} the mat\n\n" for i in range(300)) + "at last"


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextFile:
    """A text that is worth three processes here."""
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(workers, "WORTH", 0)
    monkeypatch.setattr(workers, "PIECE", 1)
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    for module in (counts, encoded):
        monkeypatch.setattr(module, "WORTH_CACHING", 0)
    path = tmp_path / "text"
    path.write_text(CONTENT)
    return TextFile(path)


def left(text: TextFile) -> list[str]:
    """What lies in the data folder."""
    folder = text.path.with_name("data") / "encoded"
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


@given(TEXTS.filter(bool), st.integers(1, 9), st.integers(0, 3))
def test_pieces_of_a_text_are_read_as_the_text_is(file: Path, content: str, count: int, before: int):
    file.write_bytes(b"x" * before + content.encode())
    text = TextFile(file, before)
    pieces = cut(text, count)
    assert 1 <= len(pieces) <= count
    words = [word for piece in pieces for block in read_words(piece) for word in block]
    assert words == [word for block in read_words(text) for word in block]
    vocabulary = Vocabulary(["a", EOS, UNK])
    whole = join(encode_blocks(read_words(text), vocabulary))
    encoded_pieces = [
        join(encode_blocks(read_words(piece), vocabulary, begins_line=piece.begins_line)) for piece in pieces
    ]
    assert sum(piece.characters for piece in encoded_pieces) == whole.characters
    assert sum(piece.words for piece in encoded_pieces) == whole.words


def test_a_long_text_is_cut_into_pieces_of_one_size(file: Path):
    file.write_bytes(b"five " * 1000)
    sizes = [size_of(piece) for piece in cut(TextFile(file), 4)]
    assert sum(sizes) == 5000
    assert all(abs(size - 1250) <= 5 for size in sizes)


@pytest.mark.parametrize("lowercase", [False, True])
def test_many_processes_make_the_bytes_that_one_makes(text: TextFile, lowercase: bool, tmp_path: Path):
    vocabulary = Vocabulary.from_counts(Counter(["The", "cat", "MAT", EOS]), lowercase=lowercase)
    alone = tmp_path / "alone"
    encoded.write_encoded(alone, encode_blocks(read_words(text), vocabulary))
    found = encoded.load_encoded(text, vocabulary)
    (made,) = (tmp_path / "data/encoded").glob("*.tokens")
    assert made.read_bytes() == alone.read_bytes()
    assert found.oov > 300
    assert left(text) == [".tokens"]


def test_many_processes_count_as_one_does(text: TextFile):
    words = [word for block in read_words(text) for word in block]
    assert counts.word_counts(text) == Counter(words)
    assert left(text) == [".counts"]


def test_what_was_made_is_found_again(text: TextFile, monkeypatch: pytest.MonkeyPatch):
    first = dataset.load_dataset(str(text.path))
    monkeypatch.setattr(workers, "run", None)
    second = dataset.load_dataset(str(text.path))
    assert first.sha256 == second.sha256
    assert first.vocabulary.words == second.vocabulary.words


@pytest.mark.parametrize("damage", [b"", b"x", b"1 the\n"])
def test_damaged_counts_are_made_anew(text: TextFile, damage: bytes):
    first = counts.word_counts(text)
    (place,) = (text.path.with_name("data") / "encoded").iterdir()
    place.write_bytes(damage)
    assert counts.word_counts(text) == first
    assert len(place.read_bytes()) > 40


def test_the_first_fault_is_the_one_that_is_told(text: TextFile, vocabulary: Vocabulary):
    content = text.path.read_bytes()
    text.path.write_bytes(content[:5000] + b"\n\xff\n" + content[5000:7000] + b"\0" + content[7000:])
    line = content[:5000].count(b"\n") + 2
    for work in (counts.word_counts, lambda text: encoded.load_encoded(text, vocabulary)):
        with pytest.raises(MemlmError, match=rf"text is not UTF-8 text \(line {line}, byte 1\)$"):
            work(text)
    assert left(text) == []


def test_a_process_that_ends_early_is_done_without(
    text: TextFile, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert counts.word_counts(text)["cat"] == 300
    found = encoded.load_encoded(text, vocabulary)
    assert found.tokens.tolist() == join(encode_blocks(read_words(text), vocabulary)).tokens.tolist()
    assert left(text) == []


def test_an_interrupt_ends_them_all(text: TextFile, monkeypatch: pytest.MonkeyPatch):
    begun: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        begun.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return begun[-1]

    @contextmanager
    def interrupt(*_: object, **__: object) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setattr(workers, "bar", interrupt)
    with pytest.raises(KeyboardInterrupt):
        counts.word_counts(text)
    assert [process.poll() is not None for process in begun] == [True] * 3
    assert left(text) == []


def test_a_script_without_a_guard_is_not_run_again(text: TextFile, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n"
        "from memlm.data import dataset\n"
        "from memlm.data.corpus import counts, encoded, workers\n"
        "workers.WORTH = workers.PIECE = counts.WORTH_CACHING = encoded.WORTH_CACHING = 1\n"
        f"print('once', len(dataset.load_dataset({str(text.path)!r}).vocabulary))\n"
    )
    (tmp_path / "json.py").write_text("raise SystemExit('the folder of the user is no place for modules')")
    done = subprocess.run(
        [sys.executable, "-P", script], capture_output=True, text=True, cwd=tmp_path, env=path_here(), check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("once 14\n", "", 0)
    assert left(text) == [".counts", ".tokens", ".tokens", ".tokens"]


def path_here() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY)}


def test_a_text_that_changes_meanwhile_is_refused(text: TextFile, monkeypatch: pytest.MonkeyPatch):
    hashes = iter("ab")
    monkeypatch.setattr(cache, "sha256_of", lambda text: next(hashes))
    with pytest.raises(MemlmError, match="text changed while it was read: try again"):
        counts.word_counts(text)
    assert left(text) == []
