"""Tests whether one model predicts a text better than another: a paired bootstrap over blocks of words.

The bootstrap resamples the difference of the two models' nats at each word. So words that are hard for both models
cancel out. Differences at nearby words are correlated, and a bootstrap of single words would give too narrow an
interval. A resample therefore consists of blocks of consecutive words. A block may begin at any word; after the end of
the text it continues at the start. This is the circular block bootstrap of Politis and Romano 1992, "A circular
block-resampling procedure for stationary data".

T words in the text, where the end of a line counts as a word, R resamples.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import TokenNats, perplexity
from memlm.format import shown

LEVEL = 0.95  # confidence level of the interval
RESAMPLES = 10_000
# Blocks are as long as possible while there are enough of them to estimate their variance. On Penn Treebank's test
# split the standard error of MemN2N's difference from the LSTM is 0.0042 nats with blocks of 1 token, 0.0054 with 100,
# 0.0070 with 500, 0.0074 with 1,000 and with 4,000: a model is better in some articles than in others. No single
# correlation is large. A rule that looks for the last large correlation (Politis and White 2004) chooses blocks of 6.
BLOCKS = 20
# Corrects for the small number of blocks: Student's t of 19 degrees of freedom over the normal quantile, and n - 1
# instead of n in the variance. The deviations of the resampled means are multiplied by this.
SPREAD = math.sqrt(BLOCKS / (BLOCKS - 1)) * 2.0930 / 1.9600
MIN_WORDS = 1000  # in a shorter text, blocks would hardly be longer than sentences


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Nats per word of model `one` minus those of model `other`: the log of the ratio of their perplexities.

    If it is below 0, `one` is better. `low` to `high` is the LEVEL confidence interval of the difference over all text
    of this kind. It is about these two trained models: the same settings with another seed give another model.
    `probability` is the share of resamples in which `one` is better. Half a resample is added for either model,
    because neither can be excluded.
    """

    nats: float
    low: float
    high: float
    probability: float
    block_length: int
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """The difference for `--json`. Ratios are ratios of perplexities; `told` is `significant`."""
        return {
            "nats_per_word": self.nats,
            "nats_interval": [self.low, self.high],
            "perplexity_ratio": perplexity(self.nats, 1),
            "ratio_interval": [perplexity(self.low, 1), perplexity(self.high, 1)],
            "level": LEVEL,
            "probability_better": self.probability,
            "told": self.significant,
            "block_length": self.block_length,
            "resamples": self.resamples,
        }

    @property
    def reversed(self) -> "Difference":
        """The difference of `other` from `one`."""
        return replace(self, nats=-self.nats, low=-self.high, high=-self.low, probability=1 - self.probability)

    @property
    def significant(self) -> bool:
        """Whether the interval does not contain 0, so that one model is better than the other."""
        return self.low > 0 or self.high < 0


def in_words(difference: Difference, one: str, other: str, split: str) -> str:
    """A line that says which run is better on a split, and by how much, or that it can't be told."""
    interval = f"{100 * LEVEL:g} % interval"
    if not difference.significant:
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


def paired_difference(one: TokenNats, other: TokenNats, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """The difference of two models on a text, from their nats at each word (T,).

    Raises MemlmError for a text of fewer than MIN_WORDS words, or if a word has probability 0 under a model.
    """
    difference = one - other
    T = len(difference)
    if T < MIN_WORDS:
        raise MemlmError(f"a text of {T:,} words is too short to tell a difference: it needs {MIN_WORDS:,}")
    if not np.isfinite(difference).all():
        raise MemlmError("a word has probability 0 under one of the models: there is no mean to compare")
    mean = difference.mean()
    means = mean + SPREAD * (resampled_means(difference, BLOCKS, resamples, np.random.default_rng(seed)) - mean)
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
    """The means (R,) of R resamples of the values (T,). A resample has `blocks` blocks of T // blocks values."""
    T = len(values)
    length = T // blocks
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    of_block = sums[length : length + T] - sums[:T]  # (T,) by the index where the block starts
    means: TokenNats = of_block[rng.integers(T, size=(resamples, blocks))].mean(axis=1) / length
    return means
