"""memlm doctor: green where all is well; what is damaged, changed or missing is named, with what to do."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memlm.config.models import LSTMConfig
from memlm.diagnostics import doctor, runs
from tests.helpers.command_line import Memlm


@pytest.fixture
def without_runs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Iterator[runs.Check]:
        yield from ()

    monkeypatch.setattr(doctor, "exact_resume", nothing)


@pytest.mark.usefixtures("without_runs_of_its_own")
def test_all_is_well(run: Path, memlm: Memlm):
    result = memlm("doctor")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "all is well"
    found = json.loads(memlm("doctor", "--json").stdout)
    checks = {check["name"]: check for check in found["checks"]}
    assert found["ok"]
    assert checks["installation"]["ok"]
    assert checks["lstm trains"]["ok"]
    assert checks["run runs/a"]["ok"]
    assert "float32" in checks["machine"]["found"]
    assert "threads" in checks["machine"]["found"]
    assert checks["data ptb"]["remedy"] == "memlm data get ptb"


@pytest.mark.usefixtures("without_runs_of_its_own")
def test_a_damaged_run_or_dataset_is_named_with_what_to_do(run: Path, memlm: Memlm):
    assert memlm("data", "get", "stories").exit_code == 0
    (Path("data") / "stories" / "stories.test.txt").write_text("cut off\n")
    weights = run / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    result = memlm("doctor")
    assert result.exit_code == 1
    lines = {line.split(": ")[0]: line for line in result.stdout.splitlines()}
    assert "model.safetensors is damaged" in lines["BAD run runs/a"]
    assert "memlm train --resume runs/a" in lines["BAD run runs/a"]
    assert "stories.test.txt" in lines["BAD data stories"]
    assert result.stdout.splitlines()[-1] == "not well: data stories, run runs/a"


def test_a_package_that_memlm_does_not_accept_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        doctor, "requires", lambda name: ["torch>=99", "click>=8", "nosuch>=1", "odd>=1; extra == 'dev'"]
    )
    check = next(doctor.installation())
    assert check.ok is False
    assert "torch is 2" in check.found
    assert "nosuch is missing, not >=1" in check.found
    assert "click" not in check.found
    assert "odd" not in check.found


def test_a_model_that_does_not_train_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("memlm.training.optim.ClippedSGD._update", lambda *of: None)
    assert doctor._trains(LSTMConfig(units=8)).ok is False


@pytest.mark.soak
def test_exact_resume_on_this_machine(rounds: Callable[[int, int], int]):
    if not rounds(0, 1):
        pytest.skip("starts six processes: in make soak")
    checks = list(doctor.exact_resume())
    assert [check.name for check in checks] == ["resume memn2n", "resume lstm"]
    assert all(check.ok for check in checks), checks


def test_a_resume_that_is_not_exact_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Process:
        """Stands for a run that was killed, or ended."""

        returncode = 0

        def __enter__(self) -> "Process":
            return self

        def __exit__(self, *exc: object) -> None: ...

        def poll(self) -> int:
            return 0

        def kill(self) -> None: ...

        def wait(self) -> int:
            return -9

        def communicate(self, timeout: float) -> tuple[str, str]:
            return "", ""

    monkeypatch.setattr(doctor, "_memlm", lambda *words: Process())
    monkeypatch.setattr(doctor, "_state", lambda run: {"weights": run.name, "metrics.jsonl": 1})
    check = doctor._resumes(tmp_path, "lstm")
    assert (check.ok, check.found.endswith("differs from a run that was not: weights")) == (False, True)
