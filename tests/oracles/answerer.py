"""A slow float64 memory network that answers questions about stories, written from the paper (arXiv:1503.08895).

It shares nothing with the package: the tests hold the package's fast code against it.

A story is a list of sentences, oldest first, and a sentence a list of word ids. Weights are a dict of arrays:

- ``tying="adjacent"``: E, a list of K+1 arrays (V, d), and optionally T, a list of K+1 arrays (times, d);
- ``tying="layerwise"``: A, C, B, W (V, d), H (d, d), and optionally T_A, T_C (times, d).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def position_weight(j: int, k: int, J: int, d: int) -> float:
    """l_kj of section 4.1: word j of J, unit k of d, both counted from 1."""
    return (1 - j / J) - (k / d) * (1 - 2 * j / J)


def sentence_vector(sentence: Sequence[int], table: Any, *, position_encoding: bool) -> Floats:
    """The sum of the words' embeddings, each weighed by its place or by 1."""
    J, d = len(sentence), len(table[0])
    vector = np.zeros(d)
    for j, word in enumerate(sentence, 1):
        for k in range(1, d + 1):
            weight = position_weight(j, k, J, d) if position_encoding else 1.0
            vector[k - 1] += weight * float(table[word][k - 1])
    return vector


def answer(
    story: Sequence[Sequence[int]],
    question: Sequence[int],
    weights: Mapping[str, Any],
    *,
    hops: int,
    tying: str,
    position_encoding: bool,
    position_scale: float = 1,
    linear_start: bool = False,
    relu: bool = False,
    null: bool = False,
    times: Sequence[int] | None = None,
) -> tuple[Floats, Floats]:
    """The attention (hops, sentences) and the probability (V,) of each word to be the answer.

    ``times`` are the places of the sentences, counted back from the question; the most recent is 0 unless memories
    that hold nothing lie between. A ``null`` memory more holds zeros.
    """

    def embed(sentence: Sequence[int], table: Any) -> Floats:
        scale = position_scale if position_encoding else 1
        return scale * sentence_vector(sentence, table, position_encoding=position_encoding)

    S = len(story)
    ages = list(times) if times is not None else [S - 1 - i for i in range(S)]
    if tying == "adjacent":
        E, T = weights["E"], weights.get("T")
        B, W = E[0], E[hops]
        tables = [(E[k], E[k + 1], None if T is None else T[k], None if T is None else T[k + 1]) for k in range(hops)]
    else:
        B, W = weights["B"], weights["W"]
        tables = [(weights["A"], weights["C"], weights.get("T_A"), weights.get("T_C"))] * hops
    u = embed(question, B)
    attention = np.zeros((hops, S))
    for hop, (A, C, T_A, T_C) in enumerate(tables):
        inputs = [embed(said, A) + (0 if T_A is None else T_A[age]) for said, age in zip(story, ages, strict=True)]
        outputs = [embed(said, C) + (0 if T_C is None else T_C[age]) for said, age in zip(story, ages, strict=True)]
        scores = [float(u @ vector) for vector in inputs] + [0.0] * null
        if linear_start:
            p = scores
        else:
            highest = max(scores)
            shares = [np.exp(score - highest) for score in scores]
            p = [float(share / sum(shares)) for share in shares]
        attention[hop] = p[:S]
        o = sum((p[i] * outputs[i] for i in range(S)), np.zeros_like(u))
        u = (weights["H"] @ u if tying == "layerwise" else u) + o
        if relu:
            u = np.maximum(u, 0)
    logits = np.array([float(np.dot(row, u)) for row in W])
    shares = np.exp(logits - logits.max())
    return attention, shares / shares.sum()
