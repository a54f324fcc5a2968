"""Learning curves: what is drawn of each run."""

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from memlm.evaluation.plots.curves import COLORS, MARKERS, Curve, perplexity_curves


def history(*valid: float | None) -> list[dict[str, Any]]:
    return [{"epoch": i + 1, "valid_perplexity": p, "train_perplexity": 3.0} for i, p in enumerate(valid)]


def test_a_run_has_two_lines_and_a_mark_at_its_best_epoch():
    figure = perplexity_curves([Curve(run="a", perplexity=4, history=history(9, 4, 5))], title="title")
    (ax,) = figure.axes
    train, valid, _ = ax.get_lines()
    assert np.array_equal(train.get_xdata(), [1, 2, 3])
    assert np.array_equal(train.get_ydata(), [3, 3, 3])
    assert np.array_equal(valid.get_ydata(), [9, 4, 5])
    assert valid.get_markevery() == [1]
    assert ax.get_title(loc="left") == "title"


@pytest.mark.parametrize(("perplexity", "label"), [(4.25, "a: 4.25"), (math.inf, "a: inf")])
def test_a_run_of_one_epoch_is_one_line(perplexity: float, label: str):
    (ax,) = perplexity_curves([Curve(run="a", perplexity=perplexity, history=history(4))], title="").axes
    line = ax.get_lines()[0]
    assert line.get_label() == label
    assert np.array_equal(line.get_ydata(), [perplexity] * 2 if math.isfinite(perplexity) else [])


def test_more_runs_than_colours_differ_by_their_marks():
    curves = [Curve(run=str(i), perplexity=4, history=history(5, 4)) for i in range(len(COLORS) + 1)]
    (ax,) = perplexity_curves(curves, title="").axes
    valid = [line for line in ax.get_lines() if ": 4.00" in str(line.get_label())]
    assert [to_hex(line.get_color()) for line in valid] == [*COLORS, COLORS[0]]
    assert [line.get_marker() for line in valid] == [*MARKERS[0] * len(COLORS), MARKERS[1]]
