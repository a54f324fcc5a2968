"""Table 1 of the paper: its columns are measured, resumed, or quoted."""

import json
from pathlib import Path

import pytest

from memlm.config.models import AnswererConfig
from memlm.config.paper import TABLE1
from memlm.config.recipes import recipe
from memlm.config.run import QAConfig
from memlm.config.training import QATrainConfig
from memlm.errors import MemlmError
from memlm.experiments import reproduce
from memlm.inference.load import load_tasks
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import Memlm, refused, well
from tests.helpers.questions import shorten_tasks
from tests.helpers.stopping import never, stopping


@pytest.fixture(autouse=True)
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_tasks(monkeypatch)


def test_a_column_is_its_recipe_with_the_wanted_restarts():
    for name, column in TABLE1.items():
        config = reproduce.column_config(name, size="10k", restarts=3, seed=7, device="cpu")
        if column.quoted:
            assert config is None
        else:
            wanted = recipe(name, size="10k")
            train = {"restarts": 3, "seed": 7, "device": "cpu"}
            assert config is not None
            assert (config.model, config.train) == (wanted.model, wanted.train.replace(train))
    with pytest.raises(MemlmError, match="unknown column of Table 1 'pe-lz'"):
        reproduce.column_config("pe-lz", size="1k", restarts=1, seed=1)


def test_beside_the_paper_are_its_errors_on_the_same_tasks():
    measured = {"tasks": {"1": 9.0, "3": 8.0}, "mean_error": 8.5, "failed_tasks": 2, "support": {}, "seconds": 1.0}
    columns = reproduce.beside_the_paper({"pe": measured | {"other": 1}, "memnn": None}, "1k")
    assert columns["pe"]["measured"] == measured
    assert list(columns["pe"]["paper"]["tasks"]) == ["1", "3"]
    assert columns["pe"]["absent"] == [task for task in range(1, 21) if task not in (1, 3)]
    assert (columns["memnn"]["measured"], columns["memnn"]["quoted"], columns["memnn"]["absent"]) == (None, True, [])


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
