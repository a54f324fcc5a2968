"""Modified interpolated Kneser-Ney smoothing: a text's n-grams, and the probabilities that follow from their counts.

T tokens, V words, n n-grams of an order. An n-gram is known by its key: p * V + w, where w is its last word and p the
place of the words before it among the n-grams of the order below (0 for order 1).
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

FALLBACK = (0.5, 1.0, 1.5)  # as `lmplz --discount_fallback` of KenLM has them


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The n-grams of one order in a text, by rising key."""

    keys: Ints  # (n,)
    suffixes: Ints  # (n,) places of the n-grams without their first word, in the order below
    counts: Ints  # (n,) times that they stand in the text
    starts: npt.NDArray[np.bool_]  # (n,) whether they begin with a line's start


@dataclass(frozen=True, kw_only=True)
class Smoothed:
    """The n-grams of one order with their probabilities, in backoff form."""

    keys: Ints  # (n,)
    probabilities: Floats  # (n,) of the last word after the words before it
    backoffs: Floats  # (n of the order below,) left by each context to a shorter one; 1, all, if it is not a context
    discounts: Floats  # (4,) taken from a count of 0, 1, 2, and 3 or more
    estimated: bool  # whether the discounts are those of the text, or FALLBACK


def count(tokens: Tokens, order: int, vocabulary_size: int, eos: int) -> Iterator[Counted]:
    """The n-grams of a text (T,), of order 1 to `order`.

    None goes on past the end of a line: `<eos>` is the first word of an n-gram, where it stands for the line's start
    (`<s>` elsewhere), or the last (`</s>`). The start of the text is a line's start. Of order 1 there is every word of
    the vocabulary, counted or not.
    """
    V = vocabulary_size
    text = np.concatenate([[eos], tokens]).astype(np.int64)  # (T+1,)
    places = text  # (T+1,) of the n-gram that ends at each word, -1 where there is none
    starts = np.arange(V) == eos  # as a context
    yield Counted(
        keys=np.arange(V),
        suffixes=np.zeros(V, np.int64),
        counts=np.bincount(tokens, minlength=V),
        starts=np.zeros(V, np.bool_),
    )
    for n in range(2, order + 1):
        goes_on = (places[:-1] >= 0) & ((text[:-1] != eos) | (n == 2))
        ends = np.flatnonzero(goes_on) + 1
        keys, found, counts = np.unique(places[ends - 1] * V + text[ends], return_inverse=True, return_counts=True)
        suffixes = np.empty(len(keys), np.int64)
        suffixes[found] = places[ends]
        places = np.full(len(text), -1)
        places[ends] = found
        starts = starts[keys // V]
        yield Counted(keys=keys, suffixes=suffixes, counts=counts, starts=starts)


def smooth(tokens: Tokens, order: int, vocabulary_size: int, eos: int) -> Iterator[Smoothed]:
    """The smoothed n-grams of a text (T,), of order 1 to `order`; below order 1 every word is as likely as another.

    The highest order counts occurrences. The others count in how many different n-grams of the order above they stand
    last: what has no word before it, because it begins with a line's start, keeps its occurrences (as in SRILM and
    KenLM). No n-gram is left out, however rare.
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


def _continuations(here: Counted, above: Counted) -> Ints:
    different = np.bincount(above.suffixes, minlength=len(here.keys))
    return np.where(here.starts, here.counts, different)


def _smooth_order(here: Counted, counts: Ints, below: Floats, vocabulary_size: int) -> Smoothed:
    """p(w | c) = (count - discount) / total of c + backoff of c * p(w | c without its first word)."""
    discounts, estimated = estimate_discounts(counts)
    taken = discounts[np.minimum(counts, 3)]
    contexts = here.keys // vocabulary_size
    totals = np.bincount(contexts, counts, minlength=len(below))
    left = np.bincount(contexts, taken, minlength=len(below))
    backoffs = np.divide(left, totals, out=np.ones(len(below)), where=totals > 0)
    probabilities = (counts - taken) / totals[contexts] + backoffs[contexts] * below[here.suffixes]
    return Smoothed(
        keys=here.keys, probabilities=probabilities, backoffs=backoffs, discounts=discounts, estimated=estimated
    )


def estimate_discounts(counts: Ints) -> tuple[Floats, bool]:
    """Discounts (4,) of counts 0, 1, 2 and 3 or more; and whether they are estimated from how many counts are 1 to 4.

    They are FALLBACK where one of 1 to 4 is the count of no n-gram, or an estimate is not above zero, as in tiny or
    made-up texts. Any discounts that are above zero and at most the counts make a proper model.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        discounts = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if discounts[1:].min() > 0:
            return discounts, True
    return np.array([0, *FALLBACK]), False
