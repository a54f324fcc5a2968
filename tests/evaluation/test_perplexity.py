"""Protocols: every token once, or as the reference code."""

import math

import numpy as np
import pytest

from memlm.config.models import MemN2NConfig
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import FACEBOOK_BATCH, perplexity, scored_tokens, token_nats, total
from memlm.models.build import build_initialised
from tests.oracles import memn2n as oracle_memn2n


def test_exact_counts_every_token_once(rng: np.random.Generator):
    nats = rng.random(321)
    score = total(nats)
    assert score.tokens == 321
    assert score.nats == pytest.approx(nats.sum())
    assert score.perplexity == pytest.approx(math.exp(nats.mean()))


def test_progress_counts_the_tokens_before_each_batch():
    model = build_initialised(MemN2NConfig(hops=1, memory_size=3, units=4), vocabulary_size=5, eos=0, seed=1)
    ticks: list[tuple[int, int]] = []
    tokens = np.zeros(10, np.int32)
    token_nats(model, tokens, targets_at_once=4, tick=lambda done, total: ticks.append((done, total)))
    assert ticks == [(0, 10), (4, 10), (8, 10)]


@pytest.mark.parametrize(("length", "memory"), [(1000, 10), (82_430, 100), (82_430, 200), (130, 100)])
def test_facebook_agrees_with_a_reading_of_the_reference_code(length: int, memory: int, rng: np.random.Generator):
    nats = rng.random(length)
    expected_nats, expected_count, distinct = oracle_memn2n.facebook_protocol(range(length), nats, memory)
    score = total(nats, protocol="facebook", memory_size=memory)
    assert score.tokens == expected_count
    assert score.tokens % FACEBOOK_BATCH == 0
    assert score.nats == pytest.approx(expected_nats)
    assert len(np.unique(scored_tokens(length, protocol="facebook", memory_size=memory))) == distinct


def test_facebook_needs_a_memory_and_a_text_longer_than_it():
    with pytest.raises(MemlmError, match="depends on the memory size, but this model has no memory"):
        total(np.ones(10), protocol="facebook")
    with pytest.raises(MemlmError, match="needs more than 11 tokens, not 11"):
        total(np.ones(11), protocol="facebook", memory_size=10)
    with pytest.raises(MemlmError, match="unknown protocol 'fair'"):
        total(np.ones(11), protocol="fair")


def test_perplexity_overflows_to_infinity():
    assert perplexity(1e6, 10) == math.inf
