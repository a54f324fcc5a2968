"""Plans cover what they say they cover, and rows hold the words that their targets need."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.data.batches import EMPTY, Span, consecutive, gather, random_chunks, random_windows, streams

totals, lengths, rows = st.integers(1, 200), st.integers(1, 12), st.integers(1, 7)


def targets_of(spans: list[Span]) -> list[int]:
    return [int(start) + i for span in spans for start in span.starts for i in range(span.length)]


@given(totals, lengths, rows, st.integers(0, 5))
def test_random_chunks_cover_each_target_once(total: int, length: int, rows: int, seed: int):
    spans = list(random_chunks(total, length, rows, np.random.default_rng(seed)))
    assert sorted(targets_of(spans)) == list(range(total))
    assert all(len(span.starts) <= rows and span.length <= length for span in spans)


@given(totals, lengths, rows)
def test_consecutive_chunks_cover_each_target_once_in_order(total: int, length: int, rows: int):
    assert targets_of(list(consecutive(total, length, rows))) == list(range(total))


@given(totals, lengths, rows)
def test_streams_cover_each_target_once_and_go_on_where_they_were(total: int, length: int, rows: int):
    spans = list(streams(total, length, rows))
    assert sorted(targets_of(spans)) == list(range(total))
    for before, after in pairwise(spans):
        assert len(after.starts) <= len(before.starts)
        expected = before.starts[: len(after.starts)] + before.length
        assert after.starts.tolist() == expected.tolist()


def test_one_stream_is_the_text_in_order():
    assert targets_of(list(streams(10, 4, 1))) == list(range(10))


def test_random_chunks_differ_from_epoch_to_epoch():
    orders = [targets_of(list(random_chunks(50, 4, 2, np.random.default_rng(seed)))) for seed in (0, 1, 1)]
    assert orders[0] != orders[1] == orders[2]


def test_windows_are_drawn_with_replacement(rng: np.random.Generator):
    spans = list(random_windows(1000, 128, rng))
    assert len(spans) == 8
    assert all(len(span.starts) == 128 and span.length == 1 for span in spans)
    positions = np.concatenate([span.starts for span in spans])
    assert positions.min() >= 0
    assert positions.max() < 1000
    assert len(set(positions.tolist())) < len(positions)


@pytest.mark.parametrize("context", [1, 3])
def test_a_row_holds_the_words_before_each_of_its_targets(context: int):
    tokens = np.arange(100, 120, dtype=np.int32)
    batch = gather(tokens, Span(np.array([0, 7]), 4), context)
    assert batch.targets.tolist() == [[100, 101, 102, 103], [107, 108, 109, 110]]
    assert batch.inputs.shape == (2, context + 3)
    assert batch.inputs[0].tolist() == [EMPTY] * context + [100, 101, 102]
    assert batch.inputs[1].tolist() == list(range(107 - context, 110))
