"""The command line on questions, on the stories' own tasks."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memlm.config.run import DATASETS_OF_QUESTIONS
from memlm.data.questions import tasks as dataset_tasks
from memlm.diagnostics import runs
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import Memlm, refused, well
from tests.helpers.questions import shorten_tasks
from tests.helpers.tensorboard import curves

QUICK = ("--dataset", "stories-qa", "--restarts", 2, "--epochs", 2, "--linear-epochs", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_tasks(monkeypatch)


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
