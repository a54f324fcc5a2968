"""Two processes that want the same: one makes it, the other waits, says what for, and uses it. Real processes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from memlm.data.corpus.encoded import load_encoded
from memlm.data.corpus.reading import TextFile
from memlm.data.fetch import get
from memlm.data.vocabulary.words import Vocabulary
from tests.helpers.mirrors import TEXTS, Server, assert_whole, toy
from tests.helpers.repository import REPOSITORY

GET = """
import sys
from memlm.data.catalog import datasets
from memlm.data.fetch import get
from tests.helpers.mirrors import toy
datasets.CATALOG["toy"] = toy(sys.argv[1])
print(get.get_dataset("toy"))
"""

ENCODE = """
import pathlib, sys, time
from memlm.data.corpus import encoded
from memlm.data.corpus.reading import TextFile
from memlm.data.vocabulary.words import Vocabulary
read_words = encoded.read_words
def slowly(path):
    print("encoding", flush=True)
    sys.stdin.readline()
    return read_words(path)
encoded.read_words = slowly
encoded.WORTH_CACHING = 0
found = encoded.load_encoded(TextFile(pathlib.Path(sys.argv[1])), Vocabulary(["<eos>", "<unk>", "the", "cat"]))
print(found.oov, *found.tokens.tolist())
"""


@contextmanager
def started(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def line(stream: object) -> str:
    """The next line of a process's output; empty at its end."""
    return str(stream.readline()).strip()  # type: ignore[attr-defined]


def asked_for(server: Server, path: str) -> None:
    """Wait until the server was asked for it."""
    deadline = time.monotonic() + 60
    while path not in server.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path in server.asked


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def test_one_gets_a_dataset_and_the_other_waits(server: Server, root: Path):
    url = f"{server.url}/gated/"
    with started(GET, url) as first:
        asked_for(server, "/gated/toy.train.txt")
        with started(GET, url) as second:
            assert line(second.stderr) == "waiting for another process, which is getting toy"
            server.gate.set()
            assert ended(first) == ended(second) == str(root / "toy")
    assert sorted(server.asked) == sorted(f"/gated/{name}" for name in [*TEXTS, "more/extra.txt"])
    assert [path.name for path in root.iterdir()] == ["toy"]


def test_who_was_killed_holds_up_nobody_and_leaves_nothing(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
):
    url = f"{server.url}/gated/"
    with started(GET, url) as first:
        asked_for(server, "/gated/toy.train.txt")
        assert (root / ".memlm-toy.partial").is_dir()
        with started(GET, url) as second:
            assert "waiting" in line(second.stderr)
            first.kill()
            server.gate.set()
            assert ended(second) == str(root / "toy")
    assert [path.name for path in root.iterdir()] == ["toy"]
    for name, text in TEXTS.items():
        assert (root / "toy" / name).read_bytes() == text


def test_what_a_killed_process_left_is_removed(server: Server, root: Path, add):
    (root / ".memlm-toy.partial/toy").mkdir(parents=True)
    (root / ".memlm-toy.partial/toy/toy.train.txt").write_bytes(b"half")
    (root / ".memlm-toy.lock").touch()
    add(toy(f"{server.url}/good/"))
    get.get_dataset("toy")
    assert_whole(root / "toy")


def test_one_encodes_a_text_and_the_other_waits(root: Path, tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("the cat sat\n")
    with started(ENCODE, str(text)) as first:
        assert line(first.stdout) == "encoding"
        with started(ENCODE, str(text)) as second:
            assert line(second.stderr) == f"waiting for another process, which is reading {text}"
            assert first.stdin is not None
            first.stdin.write("go on\n")
            first.stdin.flush()
            assert line(first.stdout) == line(second.stdout) == "1 2 3 1 0"  # the second never encoded
    (kept,) = (root / "encoded").iterdir()
    assert kept.name.endswith(".tokens")


def test_a_text_is_encoded_where_the_one_before_was_killed(root: Path, tmp_path: Path, vocabulary: Vocabulary):
    text = tmp_path / "text"
    text.write_text("the cat sat\n")
    with started(ENCODE, str(text)) as first:
        assert line(first.stdout) == "encoding"
        with started(ENCODE, str(text)) as second:
            assert "waiting" in line(second.stderr)
            first.kill()
            assert line(second.stdout) == "encoding"
            assert second.stdin is not None
            second.stdin.close()
            assert line(second.stdout) == "1 2 3 1 0"
    assert len(list((root / "encoded").iterdir())) == 1
    assert load_encoded(TextFile(text), vocabulary).tokens.tolist() == [2, 3, 4, 0]


@pytest.mark.soak
def test_many_at_once_end_with_one(server: Server, root: Path, rounds, tmp_path: Path):
    server.gate.set()
    for _ in range(rounds(1, 10)):
        server.asked.clear()
        command = [sys.executable, "-c", GET, f"{server.url}/gated/"]
        crowd = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
        ]
        assert {ended(process) for process in crowd} == {str(root / "toy")}
        assert len(server.asked) == len(TEXTS) + 1
        assert [path.name for path in root.iterdir()] == ["toy"]
        shutil.rmtree(root / "toy")
