"""Numbers for people."""

import math

import pytest

from memlm.format import duration, shown


@pytest.mark.parametrize(
    ("perplexity", "text"),
    [(1.0, "1.00"), (114.996, "115.00"), (999_999.0, "999999.00"), (1e6, "1e+06"), (1.2345e9, "1.23e+09")],
)
def test_a_perplexity_has_two_decimals_below_a_million(perplexity: float, text: str):
    assert shown(perplexity) == text


def test_a_perplexity_with_other_decimals_or_without_bounds():
    assert shown(2.5, 0) == "2"
    assert shown(2.34567, 4) == "2.3457"
    assert shown(math.inf) == "inf"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.4, "59:59"), (3599.6, "1:00:00"), (90_061, "25:01:01")],
)
def test_a_duration_has_hours_from_one_hour_on(seconds: float, text: str):
    assert duration(seconds) == text
