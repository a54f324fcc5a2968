"""The command line on questions, on the stories' own tasks: train, resume, reproduce."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from memlm.config.models import AnswererConfig
from memlm.config.paper import TABLE1
from memlm.config.run import DATASETS_OF_QUESTIONS, QAConfig
from memlm.config.training import QATrainConfig
from memlm.data.questions import tasks as dataset_tasks
from memlm.data.questions.encode import QuestionSet
from memlm.diagnostics import runs
from memlm.experiments import reproduce
from memlm.inference.load import load_tasks
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import Memlm, refused
from tests.helpers.questions import shorten_tasks
from tests.helpers.tensorboard import curves

QUICK = ("--dataset", "stories-qa", "--restarts", 2, "--epochs", 2, "--linear-epochs", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_tasks(monkeypatch)


def well(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def test_a_task_is_trained_and_its_figures_are_kept(memlm: Memlm):
    output = well(memlm("train", *QUICK, "--task", 1, "--run-dir", "run"))
    summary = json.loads(Path("run/summary.json").read_text())
    assert f"test error {summary['mean_error']:5.1f}%" in output
    assert list(summary["tasks"]) == ["1"]
    assert [restart["seed"] for restart in summary["restarts"]] == [1, 2]
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["linear"] for line in lines] == [[True, True], [False, False], [False, False]]
    assert len(lines[0]["train_error"]) == 2
    assert RunFolder.open(Path("run")).manifest().question_config.train.task == "1"
    assert list(Path("run").glob("events.*"))


def test_tensorboard_shows_a_story_of_each_task(memlm: Memlm):
    well(memlm("train", *QUICK, "--joint", "--run-dir", "run"))
    seen = curves(Path("run"))
    assert seen.Tags()["images"] == ["story/task_1", "story/task_2", "story/task_3"]
    assert [picture.step for picture in seen.Images("story/task_2")] == [3]
    assert "epoch/valid_error_task_2" in seen.Tags()["scalars"]
    well(memlm("train", *QUICK, "--task", 1, "--model", "lstm-qa", "--run-dir", "plain"))
    assert curves(Path("plain")).Tags()["images"] == []  # it has no memory to look at


def test_the_command_line_knows_every_dataset_of_questions():
    assert tuple(dataset_tasks.TASKS) == DATASETS_OF_QUESTIONS


def test_all_tasks_are_trained_each_on_its_own_or_together(memlm: Memlm):
    own = json.loads(_summary(memlm, "own"))
    together = json.loads(_summary(memlm, "together", "--joint"))
    assert list(own["tasks"]) == list(together["tasks"]) == [str(n) for n in range(1, 4)]
    assert own["mean_error"] == pytest.approx(sum(own["tasks"].values()) / 3)
    assert sorted(path.name for path in Path("own").glob("task-*")) == [f"task-{n}" for n in range(1, 4)]
    assert not list(Path("together").glob("task-*"))
    assert "valid_error_task_3" in str(_points(json.loads(Path("together/metrics.jsonl").read_text().splitlines()[0])))


def _summary(memlm: Memlm, path: str, *options: str) -> str:
    well(memlm("train", *QUICK, *options, "--run-dir", path))
    return Path(path, "summary.json").read_text()


def _points(metrics: dict[str, Any]) -> dict[str, float]:
    """Means over the restarts, errors by task, and the share of restarts in the linear start."""
    names = ("train_cost", "train_error", "valid_cost", "valid_error", "lr", "linear")
    found = {name: float(np.mean(metrics[name])) for name in names}
    return found | {f"valid_error_task_{task}": float(np.mean(each)) for task, each in metrics["tasks"].items()}


class StopAfter:
    """Stands in for the signals: asks to stop when it was asked so often."""

    def __init__(self, calls: float) -> None:
        self.left = calls
        self.exit_status = 0

    def heed_stops(self) -> None: ...

    def __enter__(self) -> "StopAfter":
        return self

    def __exit__(self, *exc: object) -> None: ...

    def save(self) -> bool:
        return False

    def stop(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.exit_status = 130
        return self.left < 0


def stopping(monkeypatch: pytest.MonkeyPatch, calls: float) -> None:
    monkeypatch.setattr("memlm.experiments.signals.SignalRequests", lambda: StopAfter(calls))


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping(monkeypatch, math.inf)


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


def test_doctor_looks_at_every_task_of_a_run(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    _summary(memlm, "run")
    check = runs.check_run(Path("run"))
    assert check.ok, check
    assert "tasks: 3, hashes are right; mean test error" in check.found
    summary = json.loads(Path("run/summary.json").read_text())
    summary["tasks"]["2"] = 0.0 if summary["tasks"]["2"] > 50 else 100.0
    Path("run/summary.json").write_text(json.dumps(summary))
    check = runs.check_run(Path("run"))
    assert (check.ok, check.found.endswith("different from the record: task 2")) == (False, True)
    monkeypatch.setattr("memlm.data.dataset.is_there", lambda name: False)
    check = runs.check_run(Path("run"))
    assert (check.ok, "its questions, stories-qa, are not on this machine" in check.found) == (None, True)
    weights = Path("run/task-3/last/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    check = runs.check_run(Path("run"))
    assert (check.ok, f"{weights} is damaged" in check.found) == (False, True)
    Path("run/summary.json").unlink()
    weights.unlink()
    shutil.rmtree("run/task-3/last")
    assert runs.check_run(Path("run")).ok is None


def test_a_run_is_not_overwritten_unasked(memlm: Memlm):
    well(memlm("train", *QUICK, "--task", 2, "--run-dir", "run"))
    assert "run holds a run" in refused(memlm("train", *QUICK, "--task", 3, "--run-dir", "run"))
    well(memlm("train", *QUICK, "--task", 3, "--run-dir", "run", "--overwrite"))
    assert list(json.loads(Path("run/summary.json").read_text())["tasks"]) == ["3"]


def test_other_questions_are_not_gone_on_with(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    stopping(monkeypatch, 2)
    assert memlm("train", *QUICK, "--task", 1, "--run-dir", "run").exit_code == 130
    never(monkeypatch)
    monkeypatch.setattr(QuestionSet, "sha256", "another")
    assert "have changed since run began: restore them" in refused(memlm("train", "--resume", "run"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", 7], "stories-qa has no task 7: its tasks are 1 to 3"),
        (["--task", "one"], "task is 'one'; it must be a task's number or all"),
        (["--task", 2, "--joint"], "a joint model is trained on all tasks"),
        (["--size", "10k", "--task", 1], "stories-qa has no size 10k"),
        (["--size", "10k"], "stories-qa has no size 10k"),
        (["--model", "lstm-qa", "--hops", 2], "--hops is not a setting of lstm-qa"),
        (["--chunk-length", 4], "--chunk-length is not a setting of memn2n-qa"),
    ],
)
def test_bad_settings_are_refused_and_leave_nothing(options: list[object], message: str, memlm: Memlm):
    assert message in refused(memlm("train", *QUICK, *options))
    assert not Path("runs").exists()


def test_a_config_file_and_the_model_choose_question_answering(memlm: Memlm):
    Path("own.toml").write_text('dataset = "stories-qa"\n[model]\nunits = 7\n[train]\nepochs = 1\nrestarts = 1\n')
    well(memlm("train", "--config", "own.toml", "--task", 1, "--linear-epochs", 1, "--run-dir", "run"))
    config = RunFolder.open(Path("run")).manifest().question_config
    assert (config.model.units, config.train.noise) == (7, 0.1)
    well(
        memlm(
            "train",
            *QUICK[:-4],
            "--model",
            "lstm-qa",
            "--task",
            1,
            "--device",
            "cpu",
            "--epochs",
            1,
            "--run-dir",
            "reader",
        )
    )
    assert RunFolder.open(Path("reader")).manifest().question_config.model.name == "lstm-qa"


def tiny_column(name: str, *, size: str, restarts: int, seed: int, device: str) -> QAConfig | None:
    if TABLE1[name].quoted:
        return None
    model = AnswererConfig(units=6, sentences="bow" if name == "bow" else "pe")
    return QAConfig(
        dataset="stories-qa",
        model=model,
        train=QATrainConfig(epochs=1, restarts=restarts, size=size, seed=seed, device=device),
    )


def test_a_table_is_measured_beside_the_paper_and_resumed(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reproduce, "column_config", tiny_column)
    command = ("reproduce", "table1", "--columns", "bow, pe", "--device", "cpu", "--restarts", 2)
    stopping(monkeypatch, 8)
    assert memlm(*command).exit_code == 130
    never(monkeypatch)
    output = well(memlm(*command))
    assert "bow, paper" in output
    assert "pe: task 4, 5, 6" in output  # the paper has twenty tasks, these are three
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")}
    found = json.loads(memlm(*command, "--json").stdout)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")} == before  # not done again
    assert found["columns"]["bow"]["paper"]["tasks"]["2"] == 17.6
    assert found["columns"]["pe"]["paper"]["mean_error"] is None  # which is of twenty tasks
    own = json.loads(Path("runs/table1-1k/pe/summary.json").read_text())
    assert found["columns"]["pe"]["measured"]["mean_error"] == own["mean_error"]
    support = found["columns"]["pe"]["measured"]["support"]
    assert support == load_tasks("runs/table1-1k/pe").evaluate()["support"]
    assert f"{100 * support['2']:.1f}" in output.split("support %")[1]
    assert RunFolder.open(Path("runs/table1-1k/pe")).manifest().question_config.train.device == "cpu"
    well(memlm(*command, "--device", "auto"))  # where it was computed is no matter of what was measured
    assert "has other settings: choose another --run-dir" in refused(memlm(*command[:-1], 3))


@pytest.mark.parametrize(
    ("columns", "message"), [("pe-lss", "did you mean 'pe-ls'?"), ("pe,", "unknown column of Table 1 ''")]
)
def test_columns_that_the_paper_lacks_are_refused(columns: str, message: str, memlm: Memlm):
    assert message in refused(memlm("reproduce", "table1", "--columns", columns))


def test_columns_that_memlm_does_not_measure_are_quoted(memlm: Memlm):
    command = ("reproduce", "table1", "--columns", "memnn,memnn-wsh")
    lines = [line.split() for line in well(memlm(*command)).splitlines()]
    assert ["19:", "path", "finding", "64.0", "100.0"] in lines
    assert ["mean", "error", "6.7", "40.2"] in lines
    assert "memnn, paper (quoted)" in " ".join(memlm(*command).output.split())
    found = json.loads(memlm(*command, "--size", "10k", "--json").stdout)["columns"]["memnn"]
    assert (found["measured"], found["quoted"], found["absent"]) == (None, True, [])
    assert found["paper"] == {"tasks": None, "mean_error": 3.2, "failed_tasks": 2}
    assert not Path("runs").exists()


def test_all_columns_are_those_of_the_paper(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reproduce, "reproduce", lambda path, config, observer, stop: SUMMARY)
    found = json.loads(memlm("reproduce", "table1", "--columns", "all", "--json").stdout)
    assert list(found["columns"]) == list(TABLE1)
    assert [name for name, column in found["columns"].items() if column["quoted"]] == ["memnn", "memnn-wsh"]


SUMMARY = {
    "tasks": {"1": 9.0},
    "mean_error": 9.0,
    "failed_tasks": 1,
    "support": {"1": None},
    "seconds": 1.0,
}
