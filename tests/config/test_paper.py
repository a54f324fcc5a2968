"""Table 1 as data: complete, and as consistent as the paper's rounding lets it be."""

import pytest

from memlm.config.paper import FAILED_ABOVE, TABLE1, figures


@pytest.mark.parametrize("name", TABLE1)
def test_means_and_failures_are_those_of_the_errors(name: str):
    column = TABLE1[name]
    assert len(column.errors) == 20
    assert sum(column.errors) / 20 == pytest.approx(column.mean_error["1k"], abs=0.051)
    surely = sum(error > FAILED_ABOVE for error in column.errors)
    rounded = sum(error == FAILED_ABOVE for error in column.errors)  # 5.0 may have been 5.04
    assert surely <= column.failed_tasks["1k"] <= surely + rounded
    assert column.mean_error["10k"] < column.mean_error["1k"]
    assert column.failed_tasks["10k"] < column.failed_tasks["1k"]


def test_the_figures_asked_for_are_there():
    assert (TABLE1["pe-ls-rn"].mean_error["1k"], TABLE1["pe-ls-rn"].failed_tasks["1k"]) == (13.9, 11)
    assert (TABLE1["pe-ls-rn-joint"].mean_error["1k"], TABLE1["pe-ls-rn-joint"].failed_tasks["1k"]) == (12.4, 11)
    assert TABLE1["bow"].errors[15] == 52.0
    assert TABLE1["pe-ls-lw-joint"].mean_error["10k"] == 11.0
    assert [name for name, column in TABLE1.items() if column.quoted] == ["memnn", "memnn-wsh"]


def test_the_mean_of_twenty_tasks_does_not_stand_beside_that_of_fewer():
    whole = figures("pe", range(1, 21), "1k")
    assert (list(whole["tasks"].values()), whole["mean_error"], whole["failed_tasks"]) == (
        list(TABLE1["pe"].errors),
        20.3,
        13,
    )
    assert figures("pe", range(1, 21), "10k") == {"tasks": None, "mean_error": 9.4, "failed_tasks": 6}
    assert figures("pe", [4, 2], "1k") == {"tasks": {"4": 3.8, "2": 21.6}, "mean_error": None, "failed_tasks": None}
