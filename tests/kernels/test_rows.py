"""Sums of rows by word, and rows added to a table."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from memlm.kernels.rows import add_rows, sum_words
from tests.helpers.compiled import compiled


@compiled
@given(ids=st.lists(st.integers(0, 200), max_size=60), units=st.integers(1, 20))
def test_rows_are_summed_by_word_and_added_to_a_table(ids: list[int], units: int):
    rng = np.random.default_rng(len(ids))
    rows = rng.standard_normal((len(ids), units)).astype(np.float32)
    table = rng.standard_normal((201, units)).astype(np.float32)
    words, (sums,) = sum_words(torch.tensor(ids, dtype=torch.int64), [torch.from_numpy(rows)], 201)
    assert words.tolist() == sorted(set(ids))
    expected = table.astype(np.float64)
    np.add.at(expected, np.array(ids, dtype=np.int64), -0.5 * rows.astype(np.float64))
    add_rows(torch.from_numpy(table), words, sums, -0.5)
    np.testing.assert_allclose(table, expected, atol=1e-5)
