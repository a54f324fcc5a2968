"""Whether one model predicts a text better than another: a paired bootstrap over blocks of its words.

T words in the text, the end of a line being one, R resamples.

What is resampled is the difference of the two models' nats at each word, so that what is hard for both cancels.
Differences of nearby words are alike, and a bootstrap of single words would be too sure of itself; so a resample is
made of blocks of consecutive words from anywhere in the text, which goes on at its start where it ends: the circular
block bootstrap of Politis and Romano 1992, "A circular block-resampling procedure for stationary data".
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import TokenNats, perplexity
from memlm.format import shown

LEVEL = 0.95  # of the interval
RESAMPLES = 10_000
# On Penn Treebank's test split the standard error of MemN2N's difference from the LSTM is 0.0042 nats with blocks of 1
# token, 0.0054 of 100, 0.0070 of 500, 0.0074 of 1,000 and of 4,000: a model does better in some articles than in
# others. No correlation is large by itself, so that rules which look for the last one that is (Politis and White 2004)
# choose blocks of 6. So blocks are as long as they can be while there are enough of them to see how much they vary.
BLOCKS = 20
# How they vary is known from these few alone: Student's t of 19 degrees of freedom over the normal quantile, and the
# n - 1 of a variance. The resampled means are spread out by this.
WIDER = math.sqrt(BLOCKS / (BLOCKS - 1)) * 2.0930 / 1.9600
FEWEST_WORDS = 1000  # below, blocks would be hardly longer than sentences


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Nats per word of `one` less those of `other`, which is the log of the ratio of their perplexities.

    Below 0, the one is better. The interval from `low` to `high` holds the difference over all text of this kind in
    LEVEL of cases. It speaks of these two trained models: the same settings with another seed make another model.
    `probability` is the share of resamples in which the one is better, with half a resample more on either side, since
    neither can be excluded.
    """

    nats: float
    low: float
    high: float
    probability: float
    block_length: int
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ratios are of perplexities."""
        return {
            "nats_per_word": self.nats,
            "nats_interval": [self.low, self.high],
            "perplexity_ratio": perplexity(self.nats, 1),
            "ratio_interval": [perplexity(self.low, 1), perplexity(self.high, 1)],
            "level": LEVEL,
            "probability_better": self.probability,
            "told": self.told,
            "block_length": self.block_length,
            "resamples": self.resamples,
        }

    @property
    def reversed(self) -> "Difference":
        """The other's difference from the one."""
        return replace(self, nats=-self.nats, low=-self.high, high=-self.low, probability=1 - self.probability)

    @property
    def told(self) -> bool:
        """Whether it can be told which is better: the interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def in_words(difference: Difference, one: str, other: str, split: str) -> str:
    """A line that says which run is better on a split, and by how much, or that it can't be told."""
    interval = f"{100 * LEVEL:g} % interval"
    if not difference.told:
        return (
            f"no difference can be told between {other} and {one} on {split}: {one} has {_change(difference.nats)} "
            f"perplexity, {interval} {_change(difference.low)} to {_change(difference.high)}, probability "
            f"{_probability(difference.probability)} that it is better"
        )
    if difference.nats > 0:
        one, other, difference = other, one, difference.reversed
    return (
        f"{one} is better than {other} on {split}: {_change(difference.nats)} perplexity, {interval} "
        f"{_percent(difference.high)} to {_percent(difference.low)} %, "
        f"probability {_probability(difference.probability)}"
    )


def _percent(nats: float) -> str:
    """How much lower or higher a perplexity is, without the sign."""
    percent = math.inf if nats > 700 else 100 * abs(math.expm1(nats))
    return shown(percent, 1 if percent >= 1 else 2)


def _change(nats: float) -> str:
    return f"{_percent(nats)} % {'higher' if nats > 0 else 'lower'}"


def _probability(value: float) -> str:
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def paired(one: TokenNats, other: TokenNats, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """The difference of two models on a text, of which each gave its nats by word (T,).

    Raises MemlmError for a text that is too short to tell, or that a model holds impossible.
    """
    difference = one - other
    T = len(difference)
    if T < FEWEST_WORDS:
        raise MemlmError(f"a text of {T:,} words is too short to tell a difference: it needs {FEWEST_WORDS:,}")
    if not np.isfinite(difference).all():
        raise MemlmError("a word is impossible under one of the models: there is no mean to compare")
    mean = difference.mean()
    means = mean + WIDER * (resampled_means(difference, BLOCKS, resamples, np.random.default_rng(seed)) - mean)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    wins = np.count_nonzero(means < 0) + 0.5 * np.count_nonzero(means == 0)
    return Difference(
        nats=float(mean),
        low=float(low),
        high=float(high),
        probability=float((wins + 0.5) / (resamples + 1)),
        block_length=T // BLOCKS,
        resamples=resamples,
    )


def resampled_means(values: TokenNats, blocks: int, resamples: int, rng: np.random.Generator) -> TokenNats:
    """The mean of each of R resamples (R,) of values (T,): of as many blocks, each of T // blocks values."""
    T = len(values)
    length = T // blocks
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    of_block = sums[length : length + T] - sums[:T]  # by the place where it starts
    means: TokenNats = of_block[rng.integers(T, size=(resamples, blocks))].mean(axis=1) / length
    return means
