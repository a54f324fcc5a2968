"""Summaries of runs of question answering, by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memlm.errors import MemlmError
from memlm.runs.summary import errors_by_task, join_summaries, read_summary, summarise_errors, task_folder

FACTS: dict[str, Any] = {"model": "m", "label": "l", "dataset": "babi", "size": "1k", "joint": False, "parameters": 7}


def part(task: int, error: float) -> dict[str, Any]:
    return FACTS | {"epochs": 2, "steps": 30, "seconds": 1.5} | summarise_errors({str(task): error})


def test_a_task_fails_above_five_percent():
    assert summarise_errors({"1": 5.0, "2": 5.1, "3": 0.0}) == {
        "tasks": {"1": 5.0, "2": 5.1, "3": 0.0},
        "mean_error": pytest.approx(10.1 / 3),
        "failed_tasks": 1,
    }


def test_errors_are_the_percentages_of_each_task():
    found = errors_by_task(np.array([True, False, False, True, True]), np.array([12, 2, 2, 12, 2]))
    assert list(found["tasks"]) == ["2", "12"]
    assert found["tasks"]["2"] == pytest.approx(100 / 3)
    assert found["tasks"]["12"] == 100
    assert found["failed_tasks"] == 2


def test_the_summary_of_a_run_of_tasks_adds_up_theirs():
    found = join_summaries([part(1, 0.0), part(2, 10.0)])
    assert found == FACTS | {"epochs": 4, "steps": 60, "seconds": 3.0} | summarise_errors({"1": 0.0, "2": 10.0})


def test_a_summary_is_read_with_all_that_it_holds(tmp_path: Path):
    with pytest.raises(MemlmError, match="has not ended yet: go on with `memlm train --resume"):
        read_summary(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(part(1, 0.0) | {"more": 1}))
    assert read_summary(tmp_path) == part(1, 0.0) | {"more": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": {}},
        {"tasks": {"one": 1.0}},
        {"tasks": {"1": 100.1}},
        {"tasks": {"1": -0.1}},
        {"mean_error": None},
        {"steps": 1.5},
        {"model": 3},
    ],
)
def test_figures_that_can_not_be_are_refused(change: dict[str, object], tmp_path: Path):
    (tmp_path / "summary.json").write_text(json.dumps(part(1, 0.0) | change))
    with pytest.raises(MemlmError, match=r"summary\.json is damaged: it does not hold the figures of a run"):
        read_summary(tmp_path)


def test_a_task_has_a_folder_in_the_run(tmp_path: Path):
    assert task_folder(tmp_path, 3) == tmp_path / "task-3"
