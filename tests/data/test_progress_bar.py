"""Progress bars: on a terminal alone, and after a while."""

import io
import sys

import pytest

from memlm.data import progress_bar


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("after", "shown"), [(0.0, True), (100.0, False)])
def test_a_bar_comes_after_a_while(after: float, shown: bool, monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar.bar("reading", after=after) as tick:
        tick(5, 10)
    assert ("reading" in terminal.getvalue()) == shown


def test_nothing_is_shown_where_nobody_watches(capfd: pytest.CaptureFixture[str]):
    with progress_bar.bar("reading") as tick:
        tick(5, 10)
    assert capfd.readouterr() == ("", "")
