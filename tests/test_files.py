"""Files are written whole or not at all, and a lock has one holder."""

import errno
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from memlm.errors import MemlmError
from memlm.files import lock, write_whole
from tests.helpers.faults import count_disk_calls, disk_calls, fail_disk_call
from tests.helpers.repository import REPOSITORY

HOLD = """
import pathlib, sys
from memlm.files import lock
with lock(pathlib.Path(sys.argv[1]), busy=lambda: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_file_is_replaced(tmp_path: Path):
    path = tmp_path / "folder" / "file"
    for data in (b"first", b"", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_the_file_before_stays_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_whole(path, b"first")
    calls = count_disk_calls(monkeypatch, lambda: write_whole(path, b"first"))
    assert calls >= 4  # the write, its sync, the rename, and the sync of the folder
    for failing in range(calls):
        with (
            fail_disk_call(monkeypatch, failing, errno.ENOSPC),
            pytest.raises(MemlmError, match=r"cannot write .*file: No space left on device"),
        ):
            write_whole(path, b"second")
        assert path.read_bytes() in (b"first", b"second")
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its bytes before its name, and its name before the call returns: a power cut leaves the old or the new file."""
    done = disk_calls(monkeypatch)
    write_whole(tmp_path / "a", b"new")
    assert done == ["sync a.new", "rename a.new to a", f"sync {tmp_path.name}"]


def refuse() -> None:
    raise BlockingIOError("busy")


def test_a_lock_has_one_holder_and_its_file_goes_with_it(tmp_path: Path):
    path = tmp_path / "lock"
    with lock(path, busy=refuse):
        assert path.exists()
        with pytest.raises(BlockingIOError), lock(path, busy=refuse):
            pass
        assert path.exists()
    assert not path.exists()
    with pytest.raises(KeyError), lock(path, busy=refuse):
        raise KeyError
    with lock(path, busy=refuse):
        pass


def test_a_waiter_says_so_once(tmp_path: Path):
    said, took = [], threading.Event()

    def wait() -> None:
        with lock(tmp_path / "lock", busy=lambda: said.append("busy")):
            took.set()

    with lock(tmp_path / "lock", busy=refuse):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not took.wait(0.2)
    thread.join(60)
    assert took.is_set()
    assert said == ["busy"]


def test_a_waiter_does_not_hold_the_file_that_its_holder_has_removed(tmp_path: Path):
    """The waiter has opened the file before it is removed: only a lock on the file that is there now counts."""
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    holding = ExitStack()
    holding.enter_context(lock(path, busy=refuse))
    with holding, subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=PIPE, stdout=PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "waiting\n"
            holding.close()
            assert other.stdout.readline() == "held\n"
            with pytest.raises(BlockingIOError), lock(path, busy=refuse):
                pass
            other.communicate("go on\n", timeout=60)
        finally:
            other.kill()
    with lock(path, busy=refuse):
        pass


def test_who_waits_for_a_lock_does_not_take_the_file_that_its_holder_removed(tmp_path: Path):
    """Else a third one makes the file anew, and two hold the lock."""
    path, waiting, taken, done = tmp_path / "lock", threading.Event(), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with lock(path, busy=waiting.set):
            taken.set()
            done.wait(60)

    waiter = threading.Thread(target=wait_for_it)
    with lock(path, busy=refuse):
        waiter.start()
        assert waiting.wait(60)
        assert not taken.is_set()
    try:
        assert taken.wait(60)
        assert path.exists()
        with pytest.raises(BlockingIOError), lock(path, busy=refuse):
            pass
    finally:
        done.set()
        waiter.join()
    assert not path.exists()
