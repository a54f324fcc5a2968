"""Runs of question answering: stopped, resumed, continued, and what their folders hold."""

import dataclasses
import json
from pathlib import Path

import pytest

from memlm.config.recipes import recipe
from memlm.config.run import QAConfig
from memlm.data.questions.encode import QuestionSet
from memlm.experiments import question_run
from memlm.runs.folder import RunFolder
from memlm.runs.summary import task_folder
from tests.helpers.command_line import Memlm, refused, well
from tests.helpers.questions import shorten_tasks
from tests.helpers.stopping import never, stopping
from tests.helpers.training import Ask

QUICK = ("--dataset", "stories-qa", "--restarts", 2, "--epochs", 2, "--linear-epochs", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_tasks(monkeypatch)


def quick(**values: object) -> QAConfig:
    """Settings of a short run."""
    config: QAConfig = recipe("pe", size="1k")
    train = config.train.replace({"restarts": 2, "epochs": 2, "device": "cpu"} | values)
    return dataclasses.replace(config, dataset="stories-qa", train=train)


def _summary(memlm: Memlm, path: str, *options: str) -> str:
    well(memlm("train", *QUICK, *options, "--run-dir", path))
    return Path(path, "summary.json").read_text()


@pytest.mark.usefixtures("memlm")
@pytest.mark.parametrize(
    ("values", "name", "numbers"),
    [
        ({"task": "2"}, "stories-qa-task-2-1k-memn2n-qa-3x20", [2]),
        ({"task": "all"}, "stories-qa-task-all-1k-memn2n-qa-3x20", [1, 2, 3]),
        ({"joint": True}, "stories-qa-joint-1k-memn2n-qa-3x20", [1, 2, 3]),
    ],
)
def test_a_new_run_is_named_after_its_tasks_and_holds_their_results(
    values: dict[str, object], name: str, numbers: list[int]
):
    with question_run.start(quick(**values), None, overwrite=False) as ready:
        assert (ready.run.path, ready.numbers) == (Path("runs", name), numbers)
        summary = ready.train([], Ask())
    assert summary == json.loads(Path("runs", name, "summary.json").read_text())
    assert summary is not None
    assert list(summary["tasks"]) == list(map(str, numbers))
    whole = ready.run.manifest().question_config
    if values == {"task": "all"}:
        assert summary["mean_error"] == pytest.approx(sum(summary["tasks"].values()) / 3)
        for number in numbers:
            own = RunFolder.open(task_folder(ready.run.path, number)).manifest().question_config
            assert own.train == whole.train.replace({"task": str(number)})


@pytest.mark.usefixtures("memlm")
def test_the_memory_is_no_larger_than_the_longest_story():
    with question_run.start(quick(task="1"), Path("run"), overwrite=False) as ready:
        ready.train([], Ask())
        config = ready.run.manifest().question_config
    assert config.model.memory_size < quick().model.memory_size
    assert ready.config.model.memory_size == quick().model.memory_size


@pytest.mark.parametrize("calls", [1, 9])  # within the first task, and within a later one
def test_a_stopped_run_goes_on_to_the_same_figures(calls: int, memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    never(monkeypatch)
    whole = json.loads(_summary(memlm, "whole"))
    stopping(monkeypatch, calls)
    stopped = memlm("train", *QUICK, "--run-dir", "broken")
    assert stopped.exit_code == 130
    assert "memlm train --resume broken" in stopped.output
    assert "broken has not ended yet" in refused(memlm("eval", "broken"))
    never(monkeypatch)
    well(memlm("train", "--resume", "broken"))
    again = json.loads(Path("broken/summary.json").read_text())
    assert again | {"seconds": 0} == whole | {"seconds": 0}
    assert "broken has finished" in refused(memlm("train", "--resume", "broken"))


def test_a_task_of_a_run_of_all_is_trained_by_one_process_at_a_time(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    stopping(monkeypatch, 9)
    assert memlm("train", *QUICK, "--run-dir", "run").exit_code == 130
    never(monkeypatch)
    begun = max(path.parent for path in Path("run").glob("task-*/config.toml"))
    with RunFolder(begun).locked():
        assert f"{begun} is in use by process" in refused(memlm("train", "--resume", "run"))


def test_a_run_is_trained_by_one_process_at_a_time(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    stopping(monkeypatch, 1)
    assert memlm("train", *QUICK, "--run-dir", "run").exit_code == 130
    never(monkeypatch)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with RunFolder(Path("run")).locked():
        assert "run is in use by process" in refused(memlm("train", "--resume", "run"))
        assert "run is in use by process" in refused(memlm("train", *QUICK, "--run-dir", "run", "--overwrite"))
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    well(memlm("train", "--resume", "run"))


def test_a_resume_is_noted_and_only_safe_settings_may_change(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    stopping(monkeypatch, 1)
    assert memlm("train", *QUICK[:-2], "--run-dir", "run").exit_code == 130
    never(monkeypatch)
    safe = "--epochs, --device, --checkpoint-every, --on-divergence"
    message = refused(memlm("train", "--resume", "run", "--lr", 5))
    assert f"--lr can't be changed on --resume: only {safe} can" in message
    well(memlm("train", "--resume", "run", "--device", "cpu"))
    for folder in (Path("run"), Path("run/task-1")):
        run = RunFolder.open(folder)
        assert [resume["device"] for resume in run.environment()["resumed"]] == ["cpu"]
        assert run.manifest().question_config.train.device == "cpu"
    assert f"for question answering {safe}".replace(" ", "") in "".join(well(memlm("train", "--help")).split())


def test_a_run_that_has_ended_goes_on_with_more_epochs(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    never(monkeypatch)
    linear = ("--linear-start", "fixed", "--linear-epochs", "1")  # so that all restarts end together
    wanted = json.loads(_summary(memlm, "whole", *linear, "--epochs", "3"))
    _summary(memlm, "run", *linear, "--epochs", "2")
    message = refused(memlm("train", "--resume", "run", "--epochs", 2))
    assert "run has finished: give more --epochs, or `memlm eval run`" in message
    well(memlm("train", "--resume", "run", "--epochs", 3))
    found = json.loads(Path("run/summary.json").read_text())
    assert {key: found[key] for key in found if key != "seconds"} == {
        key: wanted[key] for key in wanted if key != "seconds"
    }
    for task in (1, 2, 3):
        weights = [Path(run, f"task-{task}/best/model.safetensors").read_bytes() for run in ("run", "whole")]
        assert weights[0] == weights[1]


def test_other_questions_are_not_gone_on_with(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    stopping(monkeypatch, 2)
    assert memlm("train", *QUICK, "--task", 1, "--run-dir", "run").exit_code == 130
    never(monkeypatch)
    monkeypatch.setattr(QuestionSet, "sha256", "another")
    assert "have changed since run began: restore them" in refused(memlm("train", "--resume", "run"))
