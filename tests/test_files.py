"""Locks between processes and threads."""

import threading
from pathlib import Path

import pytest

from memlm import files
from memlm.errors import MemlmError
from tests.helpers.faults import disk_calls


def in_use() -> None:
    raise MemlmError("in use")


def test_who_waits_for_a_lock_does_not_take_the_file_that_its_holder_removed(tmp_path: Path):
    """Else a third one makes the file anew, and two hold the lock."""
    path, waiting, taken, done = tmp_path / "lock", threading.Event(), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with files.lock(path, busy=waiting.set):
            taken.set()
            done.wait(60)

    waiter = threading.Thread(target=wait_for_it)
    with files.lock(path, busy=in_use):
        waiter.start()
        assert waiting.wait(60)
        assert not taken.is_set()
    try:
        assert taken.wait(60)
        assert path.exists()
        with pytest.raises(MemlmError, match="in use"), files.lock(path, busy=in_use):
            pass
    finally:
        done.set()
        waiter.join()
    assert not path.exists()


def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its bytes before its name, and its name before the call returns: a power cut leaves the old or the new file."""
    done = disk_calls(monkeypatch)
    files.write_whole(tmp_path / "a", b"new")
    assert done == ["sync a.new", "rename a.new to a", f"sync {tmp_path.name}"]
