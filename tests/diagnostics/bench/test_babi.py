"""`memlm bench --task babi`, on sizes that take no time."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from memlm.diagnostics.bench import babi, measure


def test_restarts_side_by_side_are_held_against_one_after_another(
    memlm: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measure, "BURST", 1e-4)
    monkeypatch.setattr(babi, "SHAPES", {"task": (6, 9, 3, 4), "long": (8, 9, 5, 4)})
    table = memlm("bench", "--task", "babi", "--rounds", 1)
    assert table.exit_code == 0, table.output
    assert "restarts_speedup" in table.output
    result = json.loads(memlm("bench", "--task", "babi", "--rounds", 1, "--json").stdout)
    ms = result["milliseconds"]
    assert result["restarts_speedup"] == pytest.approx(10 * ms["task, 1"] / ms["task, 10"])
    assert result["speedups"]["long"] == pytest.approx(10 * ms["long, 1"] / ms["long, 10"])
    refusal = memlm("bench", "--task", "babi", "--plot", "a.png")
    assert refusal.exit_code == 2
    assert "--plot is only for --task lm" in refusal.stderr
