"""Modified interpolated Kneser-Ney smoothing: counts a text's n-grams and computes their probabilities.

T tokens, V words, n n-grams of an order. An n-gram is stored as a key, p * V + w: w is its last word, and p is the
index of the words before it in the sorted n-grams of the order below (0 for order 1).
Source: Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", Harvard TR-10-98.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.integer[Any]]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FALLBACK = (0.5, 1.0, 1.5)  # the values of KenLM's `lmplz --discount_fallback`


@dataclass(frozen=True, kw_only=True)
class NgramCounts:
    """The n-grams of one order in a text, in order of their keys."""

    keys: Ints  # (n,)
    suffixes: Ints  # (n,) index, in the order below, of the n-gram without its first word
    counts: Ints  # (n,) number of occurrences in the text
    starts: npt.NDArray[np.bool_]  # (n,) whether the n-gram begins with the start of a line


@dataclass(frozen=True, kw_only=True)
class SmoothedNgrams:
    """The n-grams of one order with their probabilities, in backoff form."""

    keys: Ints  # (n,)
    probabilities: Floats  # (n,) of the last word, given the words before it
    backoffs: Floats  # (n of the order below,) backoff weight of each context; 1 if nothing comes after it
    discounts: Floats  # (4,) subtracted from a count of 0, 1, 2, and 3 or more
    estimated: bool  # whether the discounts are estimated from the text; otherwise they are FALLBACK


def count(tokens: Tokens, order: int, vocabulary_size: int, eos: int) -> Iterator[NgramCounts]:
    """The n-grams of a text (T,), from order 1 to `order`.

    No n-gram crosses the end of a line. `<eos>` is either the first word of an n-gram, where it stands for the start
    of the line (`<s>` in other toolkits), or the last word (`</s>`). The text begins with the start of a line. Order 1
    has every word of the vocabulary, even if it does not occur.
    """
    V = vocabulary_size
    text = np.concatenate([[eos], tokens]).astype(np.int64)  # (T+1,)
    indices = text  # (T+1,) index of the n-gram that ends at each word, -1 if there is none
    starts = np.arange(V) == eos  # whether a context of one word is the start of a line
    yield NgramCounts(
        keys=np.arange(V),
        suffixes=np.zeros(V, np.int64),
        counts=np.bincount(tokens, minlength=V),
        starts=np.zeros(V, np.bool_),
    )
    for n in range(2, order + 1):
        continues = (indices[:-1] >= 0) & ((text[:-1] != eos) | (n == 2))
        ends = np.flatnonzero(continues) + 1
        keys, found, counts = np.unique(indices[ends - 1] * V + text[ends], return_inverse=True, return_counts=True)
        suffixes = np.empty(len(keys), np.int64)
        suffixes[found] = indices[ends]
        indices = np.full(len(text), -1)
        indices[ends] = found
        starts = starts[keys // V]
        yield NgramCounts(keys=keys, suffixes=suffixes, counts=counts, starts=starts)


def smooth(tokens: Tokens, order: int, vocabulary_size: int, eos: int) -> Iterator[SmoothedNgrams]:
    """The smoothed n-grams of a text (T,), from order 1 to `order`. Below order 1 all words are equally likely.

    The highest order uses the number of occurrences. A lower order uses continuation counts: the number of different
    words before an n-gram. An n-gram that begins with the start of a line has no word before it: it keeps its number
    of occurrences (as in SRILM and KenLM). No n-gram is pruned, however rare.
    """
    V, orders = vocabulary_size, count(tokens, order, vocabulary_size, eos)
    below, here = np.full(1, 1 / V), next(orders)
    while True:
        above = next(orders, None)
        counts = here.counts if above is None else _continuations(here, above)
        smoothed = _smooth_order(here, counts, below, V)
        yield smoothed
        if above is None:
            return
        below, here = smoothed.probabilities, above


def _continuations(here: NgramCounts, above: NgramCounts) -> Ints:
    different = np.bincount(above.suffixes, minlength=len(here.keys))
    return np.where(here.starts, here.counts, different)


def _smooth_order(here: NgramCounts, counts: Ints, below: Floats, vocabulary_size: int) -> SmoothedNgrams:
    """p(w | c) = (count - discount) / (total count of c) + (backoff of c) * p(w | c without its first word)."""
    discounts, estimated = estimate_discounts(counts)
    subtracted = discounts[np.minimum(counts, 3)]
    contexts = here.keys // vocabulary_size
    totals = np.bincount(contexts, counts, minlength=len(below))
    saved = np.bincount(contexts, subtracted, minlength=len(below))
    backoffs = np.divide(saved, totals, out=np.ones(len(below)), where=totals > 0)
    probabilities = (counts - subtracted) / totals[contexts] + backoffs[contexts] * below[here.suffixes]
    return SmoothedNgrams(
        keys=here.keys, probabilities=probabilities, backoffs=backoffs, discounts=discounts, estimated=estimated
    )


def estimate_discounts(counts: Ints) -> tuple[Floats, bool]:
    """Discounts (4,) for counts of 0, 1, 2, and 3 or more, and whether they are estimated from `counts`.

    The estimate uses the numbers of n-grams with counts 1, 2, 3 and 4. The discounts are FALLBACK if one of these
    numbers is 0 or an estimate is not above 0, as in tiny or artificial texts. The probabilities sum to 1 with any
    discounts above 0 and at most the counts.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        discounts = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if discounts[1:].min() > 0:
            return discounts, True
    return np.array([0, *FALLBACK]), False
