"""The picture of the results."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from memlm.diagnostics.bench.plot import TITLES, save_plot
from memlm.errors import MemlmError

RESULT = {
    "microseconds_a_target": {
        "training": {"per window": 30.0, "float32, 128 a step": 8.0},
        "evaluation": {"memlm": 3},
    },
    "scaling": {scale: [{"value": 1, "milliseconds": 2.0}, {"value": 2, "milliseconds": 3.0}] for scale in TITLES},
    "environment": {"cpu": "a fast one", "threads": 2, "torch": "2.0"},
}


def test_each_task_and_each_size_has_a_panel(tmp_path: Path):
    save_plot(RESULT, tmp_path / "speed.svg")
    written = [
        "".join(element.itertext())
        for element in ElementTree.parse(tmp_path / "speed.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "training, µs a target" in written
    assert "evaluation, µs a target" in written
    assert {f"ms a step by {title}" for title in TITLES.values()} <= set(written)
    assert {"per window", "float32, 128 a step", "30", "8"} <= set(written)
    assert "memlm bench: a fast one, 2 threads, torch 2.0" in written


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(MemlmError, match="No such file or directory"):
        save_plot(RESULT, tmp_path / "none" / "speed.png")
