"""Figures of the adaptive softmax, by hand."""

import pytest

from memlm.diagnostics.bench import adaptive

SECONDS = {"lstm_full": 0.9, "lstm_adaptive": 0.3, "memn2n_full": 0.5, "memn2n_adaptive": 0.25}


def test_speedups_are_of_full_over_adaptive():
    assert adaptive.speedups(SECONDS) == {
        "adaptive_softmax_speedup": pytest.approx(3),
        "adaptive_softmax_speedup_memn2n": pytest.approx(2),
    }


def test_times_and_rates_are_per_target():
    batch = adaptive.TRAIN["lstm"].batch_size
    bars = adaptive.microseconds_per_target(SECONDS)["training, 44,000 words"]
    assert bars["full, lstm"] == pytest.approx(0.9e6 / batch)
    assert len(bars) == 4
    facts = adaptive.facts(SECONDS, {"lstm": "10,20", "memn2n": "30"})
    assert facts["lstm"] == {
        "cutoffs": "10,20",
        "full": pytest.approx(batch / 0.9),
        "adaptive": pytest.approx(batch / 0.3),
    }
