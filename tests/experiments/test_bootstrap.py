"""The bootstrap says what it should: as a slow loop, with its stated coverage, the same whichever run comes first."""

from collections.abc import Callable

import numpy as np
import pytest

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import TokenNats
from memlm.experiments.bootstrap import paired, resampled_means

Noise = Callable[[np.random.Generator], TokenNats]

T = 4000


def sentences(rng: np.random.Generator) -> TokenNats:
    """Values around 0 of which nearby ones are alike: autoregressive."""
    values = rng.normal(size=T + 50)
    for t in range(1, len(values)):
        values[t] += 0.4 * values[t - 1]
    return values[50:]


def articles(rng: np.random.Generator) -> TokenNats:
    """Values around 0, alike in each of about 160 articles, so weakly that neighbours hardly show it."""
    lengths = rng.geometric(1 / 25, size=T)
    return np.repeat(rng.normal(0, 0.3, size=T), lengths)[:T] + rng.normal(size=T)


def pair_of_models(difference: TokenNats, rng: np.random.Generator) -> tuple[TokenNats, TokenNats]:
    """Nats of two models that differ by this."""
    other = rng.exponential(4, size=len(difference))
    return other + difference, other


@pytest.mark.parametrize(("length", "blocks"), [(20, 4), (23, 4), (7, 7), (6, 1)])
def test_resamples_are_those_of_a_slow_loop(length: int, blocks: int, rng: np.random.Generator):
    values = rng.normal(size=length)
    found = resampled_means(values, blocks, 30, np.random.default_rng(3))
    starts = np.random.default_rng(3).integers(length, size=(30, blocks))
    for mean, row in zip(found, starts.tolist(), strict=True):
        places = [(start + i) % length for start in row for i in range(length // blocks)]
        assert mean == pytest.approx(sum(values[i] for i in places) / len(places))


@pytest.mark.soak
@pytest.mark.parametrize("noise", [sentences, articles])
@pytest.mark.parametrize("difference", [0.0, 0.2])
def test_the_interval_has_its_stated_coverage(
    difference: float, noise: Noise, rng: np.random.Generator, rounds: Callable[[int, int], int]
):
    trials = rounds(300, 4000)
    pairs = (pair_of_models(difference + noise(rng), rng) for _ in range(trials))
    found = [paired(*pair, resamples=400, seed=seed) for seed, pair in enumerate(pairs)]
    covered = sum(each.low <= difference <= each.high for each in found) / trials
    assert 0.90 <= covered <= 0.985
    if difference == 0:  # no false alarms beyond the level
        assert sum(each.told for each in found) / trials <= 0.10
        assert 0.4 < np.mean([each.probability for each in found]) < 0.6
    else:
        assert sum(each.told and each.nats > 0 for each in found) / trials > 0.8


@pytest.mark.parametrize(("noise", "length"), [(sentences, 1), (articles, 10)])
def test_short_blocks_would_be_too_sure(noise: Noise, length: int, rng: np.random.Generator):
    covered = 0
    for _ in range(100):
        means = resampled_means(noise(rng), T // length, 200, rng)
        low, high = np.quantile(means, [0.025, 0.975])
        covered += low <= 0 <= high
    assert covered / 100 < 0.90


def test_the_same_seed_gives_the_same_interval(rng: np.random.Generator):
    one, other = pair_of_models(0.1 + sentences(rng), rng)
    assert paired(one, other, seed=1) == paired(one, other, seed=1)
    assert paired(one, other, seed=1) != paired(one, other, seed=2)


def test_it_does_not_matter_which_comes_first(rng: np.random.Generator):
    one, other = pair_of_models(0.1 + sentences(rng), rng)
    forth, back = paired(one, other), paired(other, one).reversed
    assert forth.nats == pytest.approx(float(np.mean(one - other)))
    for name in ("nats", "low", "high", "probability"):
        assert getattr(forth, name) == pytest.approx(getattr(back, name))
    assert forth.told == back.told


def test_a_model_does_not_differ_from_itself(rng: np.random.Generator):
    nats = rng.exponential(4, size=T)
    same = paired(nats, nats)
    assert (same.nats, same.low, same.high, same.probability) == (0, 0, 0, 0.5)
    assert not same.told


def test_a_clear_difference_is_never_certain(rng: np.random.Generator):
    one, other = pair_of_models(sentences(rng) - 3, rng)
    clear = paired(one, other, resamples=999)
    assert clear.told
    assert clear.probability == 999.5 / 1000
    assert clear.to_dict()["perplexity_ratio"] == pytest.approx(np.exp(np.mean(one - other)))


def test_what_cannot_be_told_is_refused():
    with pytest.raises(MemlmError, match="a text of 999 words is too short to tell a difference: it needs 1,000"):
        paired(np.ones(999), np.ones(999))
    with pytest.raises(MemlmError, match="a word is impossible under one of the models"):
        paired(np.full(2000, np.inf), np.ones(2000))
