"""`memlm bench`: what it prints, on sizes that take no time; nothing here depends on how fast the machine is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.diagnostics import bench
from memlm.diagnostics.bench import adaptive, babi, measure


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cases on a tiny model."""
    settings: dict[str, Any] = {
        "VOCABULARY": 50,
        "EVALUATED": 64,
        "MODEL": MemN2NConfig(hops=2, memory_size=5, units=6),
        "TRAIN": TrainConfig(batch_size=16, chunk_length=4),
        "BATCH_SIZES": (16, 32),
        "SCALES": {"hops": (1, 2), "memory_size": (3, 5), "vocabulary": (50, 60), "batch_size": (16, 32)},
    }
    for name, value in settings.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(adaptive, "VOCABULARY", 60)
    monkeypatch.setattr(adaptive, "TOKENS", 4000)
    shrunk = {"lstm": LSTMConfig(units=6, dropout=0.0), "memn2n": MemN2NConfig(hops=1, memory_size=3, units=6)}
    monkeypatch.setattr(adaptive, "MODELS", shrunk)
    monkeypatch.setattr(bench, "_peak_rss_mb", lambda: 100.0)
    monkeypatch.setattr(measure, "BURST", 1e-4)


@pytest.mark.usefixtures("small")
def test_figures_as_table_json_and_picture(memlm: Callable[..., Result], tmp_path: Path):
    table = memlm("bench", "--rounds", 1)
    assert table.exit_code == 0, table.output
    assert all(key in table.output for key in bench.RATIOS)
    picture = tmp_path / "speed.png"
    result = json.loads(memlm("bench", "--rounds", 1, "--json", "--plot", picture).stdout)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert all(result[key] > 0 for key in bench.RATIOS)
    ms = result["milliseconds"]
    assert result["train_float32"] == pytest.approx(ms["per_window_train"] / ms["train_float32_16"])
    steps = [(ms[f"train_{precision}_{n}"], n) for precision in ("float32", "bfloat16") for n in (16, 32)]
    assert result["train_best"] == pytest.approx(ms["per_window_train"] / 16 / min(each / n for each, n in steps))
    assert result["adaptive_softmax_speedup"] == pytest.approx(ms["lstm_full"] / ms["lstm_adaptive"])
    facts = result["adaptive_softmax"]["memn2n"]
    assert result["adaptive_softmax_speedup_memn2n"] == pytest.approx(facts["adaptive"] / facts["full"])
    assert 0 < int(facts["cutoffs"].split(",")[0]) < 60
    assert result["lm_restarts_speedup"] == pytest.approx(10 * ms["restart_alone"] / ms["restarts"])
    assert result["eval_float32"] == pytest.approx(ms["per_window_eval"] / 16 * 64 / ms["eval_float32"])


@pytest.mark.parametrize(("name", "message"), [("speed.jpg", "end in .png"), ("none/speed.png", "no folder none")])
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(
    name: str, message: str, memlm: Callable[..., Result]
):
    result = memlm("bench", "--plot", name)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_steps_to_a_full_bar_are_as_many_as_are_taken(small: None):
    ticks: list[tuple[int, int]] = []
    bench.run(rounds=1, device="cpu", tick=lambda done, total: ticks.append((done, total)))
    assert ticks == [(done, bench.turns(1)) for done in range(1, bench.turns(1) + 1)]


def test_cases_take_turns():
    order: list[str] = []
    measure.medians({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    firsts = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert "".join(firsts) == "ab" * 4


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
