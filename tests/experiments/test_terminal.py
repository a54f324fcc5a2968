"""What a training shows: lines in a pipe, and a bar where there is a terminal or a notebook."""

import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import memlm as package
from memlm.experiments import terminal
from tests.helpers.command_line import SMALL
from tests.helpers.questions import shorten_tasks
from tests.helpers.repository import REPOSITORY

SETTINGS: dict[str, Any] = {"hops": 2, "memory_size": 8, "units": 6, "epochs": 2, "device": "cpu"}
EPOCH = r" {4}\d +\d+\.\d+ +\d+\.\d+ +[\d.e-]+ +\d+\.\d+ +[\d,]+ +\d+:\d\d( \*)?"

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder


def on(monkeypatch: pytest.MonkeyPatch, **what: bool) -> io.StringIO:
    """The standard error of such a console."""
    written = io.StringIO()
    monkeypatch.setattr(terminal, "Console", lambda stderr: Console(file=written, width=120, **what))  # type: ignore[arg-type]
    return written


def test_lines_in_a_pipe_and_nothing_else(corpus: Path):
    command = ["train", "--dataset", corpus, *SMALL, "--epochs", 3, "--run-dir", "run"]
    code = "import sys; from memlm.cli import main; main(sys.argv[1:])"
    found = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        timeout=100,
    )
    assert (found.returncode, found.stderr) == (0, "")
    first, header, *epochs, best = found.stdout.splitlines()
    assert re.fullmatch(rf"memn2n-2x8 on {corpus}: [\d,]+ parameters; cpu, output layer in \w+; run run", first)
    assert header == terminal.EPOCHS
    assert all(re.fullmatch(EPOCH, line) for line in epochs), epochs
    assert len(epochs) == 3
    assert re.fullmatch(r"best epoch \d: perplexity valid \d+\.\d+, test \d+\.\d+", best)
    assert "\x1b" not in found.stdout
    assert "\r" not in found.stdout


def test_a_bar_is_drawn_on_a_terminal(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    written = on(monkeypatch, force_terminal=True)
    package.train("memn2n", dataset=corpus, run_dir="run", **SETTINGS)
    assert re.search(r"epoch .*2.*ppl .*loss .*tokens/s", written.getvalue())
    assert "\x1b" in written.getvalue()
    lines = capsys.readouterr().out.splitlines()  # standard output is no terminal here
    assert len([line for line in lines if re.fullmatch(EPOCH, line)]) == 2


def test_quiet_draws_nothing_on_a_terminal(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    written = on(monkeypatch, force_terminal=True)
    package.train("memn2n", dataset=corpus, run_dir="run", quiet=True, **SETTINGS)
    assert written.getvalue() == ""


def test_lines_stand_above_the_bar_where_both_are_on_a_terminal(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    written = on(monkeypatch, force_terminal=True)
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    package.train("memn2n", dataset=corpus, run_dir="run", **SETTINGS)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n")
    assert terminal.EPOCHS in plain.splitlines()
    assert len([line for line in plain.splitlines() if re.fullmatch(EPOCH, line)]) == 2


def test_questions_have_a_bar_of_their_epochs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    shorten_tasks(monkeypatch)
    written = on(monkeypatch, force_terminal=True)
    package.train(
        "pe-ls-rn", dataset="stories-qa", task=1, restarts=2, epochs=2, linear_epochs=1, device="cpu", run_dir="run"
    )
    assert re.search(r"task 1: where is somebody|task 1: ", written.getvalue())
    assert re.search(r"3/3.*train .*valid ", written.getvalue())  # one epoch of the linear start
    said = capsys.readouterr().out
    assert re.search(r"^task 1: .* test error +\d+\.\d%", said)
    assert "run: mean error" in said


def test_a_notebook_without_ipywidgets_has_lines_and_no_warning(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A warning is an error in tests."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert importlib.util.find_spec("ipywidgets") is None
    written = on(monkeypatch, force_jupyter=True)
    package.train("memn2n", dataset=corpus, run_dir="run", **SETTINGS)
    assert written.getvalue() == ""
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.fullmatch(EPOCH, line)]) == 2


def test_a_notebook_with_ipywidgets_can_draw(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    console = Console(file=io.StringIO(), force_jupyter=True)
    assert terminal._can_draw(console)
    assert not terminal._can_draw(Console(file=io.StringIO(), force_jupyter=False))


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_stop_says_how_to_go_on(restarts: int, corpus: Path, capsys: pytest.CaptureFixture[str]):
    class Stop(package.Observer):
        def epoch(self, *what: Any) -> Any:
            return package.STOP

    package.train("memn2n", dataset=corpus, run_dir="run", restarts=restarts, callbacks=[Stop()], **SETTINGS)
    *_, stopped, how = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"stopped at step \d+, 1 epochs done; nothing is lost. To resume:", stopped)
    assert how == "    memlm train --resume run"
    package.resume("run")
    said = capsys.readouterr().out
    assert "resuming after step" in said
    assert ("that is seed" in said) == (restarts == 2)
