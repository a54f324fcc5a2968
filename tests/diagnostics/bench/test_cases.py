"""The cases that are timed: each does the work that it is named after, on sizes that take no time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.diagnostics.bench import cases

V, CPU = 40, torch.device("cpu")
MEMN2N = MemN2NConfig(hops=2, memory_size=5, units=6)
LSTM = LSTMConfig(units=6, dropout=0.0)
TRAIN = TrainConfig(batch_size=16, chunk_length=4, precision="float32")
STREAMS = TrainConfig(batch_size=16, chunk_length=4, precision="float32", sampling="streams")


def test_words_of_a_random_text_are_as_frequent_as_their_ranks_say():
    tokens = cases.zipf_tokens(V, 100_000)
    assert tokens.dtype == np.int32
    assert tokens.shape == (100_000,)
    counts = np.bincount(tokens, minlength=V)
    np.testing.assert_allclose(counts * np.arange(1, V + 1) / counts[0], 1, atol=0.15)
    assert np.array_equal(cases.zipf_tokens(V, 100), cases.zipf_tokens(V, 100))


@pytest.mark.parametrize(
    "make",
    [
        lambda tokens: cases.training_step(MEMN2N, TRAIN, tokens, V, CPU),
        lambda tokens: cases.training_step(LSTM, STREAMS, tokens, V, CPU),
        lambda tokens: cases.per_window_step(MEMN2N, TRAIN, tokens, V, CPU),
        lambda tokens: cases.plain_lstm_step(LSTM, STREAMS, tokens, V, CPU),
        lambda tokens: cases.evaluation(MEMN2N, tokens, V, CPU),
        lambda tokens: cases.per_window_evaluation(MEMN2N, tokens, V, 16, CPU),
        lambda tokens: cases.floor(16, 6, V, CPU),
        lambda tokens: cases.floor(16, 6, V, CPU, onednn=False),
    ],
)
def test_a_case_can_be_called_more_often_than_it_has_batches(make: Callable[[np.ndarray], Callable[[], object]]):
    case = make(cases.zipf_tokens(V, 200))
    for _ in range(cases.BATCHES + 2):
        case()


def test_a_training_step_trains(monkeypatch: pytest.MonkeyPatch):
    training = cases.make_training(MEMN2N, TRAIN, V, CPU)
    before = [parameter.clone() for parameter in training.model.parameters()]
    monkeypatch.setattr(cases, "make_training", lambda *_: training)
    cases.training_step(MEMN2N, TRAIN, cases.zipf_tokens(V, 200), V, CPU)()
    for earlier, now in zip(before, training.model.parameters(), strict=True):
        assert not torch.equal(earlier, now)
