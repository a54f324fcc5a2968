"""Discounts of Kneser-Ney smoothing."""

import numpy as np
import pytest

from memlm.models.ngram.smoothing import FALLBACK, estimate_discounts


@pytest.mark.parametrize(
    "counts", [[], [2, 3, 4], [1, 3, 4], [1, 2, 4], [1, 2, 3], [1, 2, *[3] * 9, 4], [5, 6, 7], [1, 2, 3, *[4] * 9]]
)
def test_counts_that_give_no_discounts_have_the_fallback(counts: list[int]):
    discounts, estimated = estimate_discounts(np.array(counts, np.int64))
    assert discounts.tolist() == [0, *FALLBACK]
    assert not estimated
