"""The search for weights."""

import math

from memlm.inference.streams.tuning import hill_climb


def test_climbing_stops_where_neighbours_are_no_better_and_leaves_what_is_infinite():
    def cost(value: float) -> float:
        return math.inf if value > 5 else (value - 4) ** 2

    assert hill_climb((1, 2, 3, 4, 5, 6), 2, cost) == 4
    assert hill_climb((1, 2), 2, cost) == 2
    assert hill_climb((3, 4, 5, 6, 7, 8), 7, cost) == 4
    assert hill_climb((0, 9), 9, cost) == 0
