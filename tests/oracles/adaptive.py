"""A slow float64 adaptive softmax, written from Grave et al. 2017, https://arxiv.org/abs/1609.04309, section 4.

It shares nothing with the package: the tests hold the package's fast code against it. Every probability of every word
is computed, one state at a time, as the product of its cluster's and its own within the cluster.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def probabilities(
    hidden: Floats,
    cutoffs: Sequence[int],
    weights: Sequence[Floats],
    biases: Sequence[Floats] = (),
    projections: Sequence[Floats] = (),
) -> Floats:
    """Of each word after each state (R, D): (R, V).

    ``weights[0]`` holds a row for each word below the first cut-off and then one for each cluster; ``weights[i]`` one
    for each word of cluster i; ``projections[i - 1]`` takes a state to the units of cluster i.
    """
    rows = []
    for h in np.asarray(hidden, dtype=np.float64):
        scores = weights[0] @ h
        first = _softmax(scores + biases[0] if len(biases) else scores)
        row = [first[word] for word in range(cutoffs[0])]
        for i in range(1, len(weights)):
            state = projections[i - 1] @ h if len(projections) else h
            scores = weights[i] @ state
            within = _softmax(scores + biases[i] if len(biases) else scores)
            row.extend(first[cutoffs[0] + i - 1] * p for p in within)
        rows.append(row)
    return np.array(rows)
