"""Malformed inputs, by hypothesis: each is taken, or refused in one line, and soon, and nothing outside is touched."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from memlm.errors import MemlmError

TRIED: Counter[str] = Counter()  # inputs by test, for the summary
SECONDS = 60  # longer is a hang, also on a busy machine

Snapshot = dict[str, tuple[int, int, bytes]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if total := TRIED.total():
        parts = ", ".join(f"{name.removeprefix('test_')} {count:,}" for name, count in TRIED.items())
        terminalreporter.write_line(f"malformed inputs tried: {total:,} ({parts})")


class Fuzz:
    """Tries an attempt on inputs; `inside` is the folder that it may write to, `outside` one that it may not."""

    def __init__(self, name: str, inside: Path, outside: Path, *, long: bool) -> None:
        self.name, self.inside, self.outside, self.long = name, inside, outside, long

    def __call__(self, attempt: Callable[[Any], None], inputs: SearchStrategy[Any], *, short: int, long: int) -> None:
        """Make the attempt on `short` inputs, the same ones each time, or on `long` ones drawn anew.

        A MemlmError of one line is right; any other exception fails the test, and so does a write outside.
        """
        before = snapshot(self.outside)

        @settings(
            max_examples=(self.long and long) or short,
            derandomize=not self.long,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def try_one(value: Any) -> None:
            TRIED[self.name] += 1
            refusal = ""
            with soon():
                try:
                    attempt(value)
                except MemlmError as error:
                    refusal = str(error)
            assert len(refusal.splitlines()) <= 1
            assert snapshot(self.outside) == before

        try_one()


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fuzz:
    """In an empty folder, beside one that must stay as it is."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "precious").write_text("three years of work")
    monkeypatch.chdir(inside)
    monkeypatch.setenv("MEMLM_DATA", str(inside / "data"))
    return Fuzz(request.node.originalname, inside, outside, long=request.config.getoption("--soak"))


def snapshot(folder: Path) -> Snapshot:
    """What is in a folder."""
    files = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {
        str(path): (stat.st_mode, stat.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path, stat in files.items()
    }


@contextmanager
def soon() -> Iterator[None]:
    """Fails what takes longer than SECONDS."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it hangs: {SECONDS} s are over")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def damaged(whole: bytes) -> SearchStrategy[bytes]:
    """A file that was cut off, has bits flipped, bytes changed, something in it twice, or is something else."""
    at = st.integers(0, max(0, len(whole) - 1))

    def patched(start: int, length: int, new: bytes) -> bytes:
        return whole[:start] + new + whole[start + length :]

    return st.one_of(
        at.map(lambda size: whole[:size]),
        st.builds(lambda i, bit: patched(i, 1, bytes([whole[i] ^ 1 << bit])), at, st.integers(0, 7)),
        st.builds(patched, at, st.integers(0, 8), st.binary(max_size=8)),
        st.builds(lambda i, length, to: patched(to, 0, whole[i : i + length]), at, st.integers(1, 200), at),
        st.builds(lambda i, length: patched(i, length, b""), at, st.integers(1, 200)),
        st.binary(max_size=200),
        st.sampled_from([b"", b"\0", b"\n", b"{}", b"[]", b"null", b"NaN", b"\xef\xbb\xbf", b"[" * 5000, b"1" * 5000]),
    )
