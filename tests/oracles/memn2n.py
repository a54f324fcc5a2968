"""A slow float64 end-to-end memory network language model, written from the paper (arXiv:1503.08895).

It shares nothing with the package: the tests hold the package's fast code against it.

A window is the N word ids before a target, oldest first; -1 is an empty slot (before the start of the
text), which gets no attention. Weights are a dict of arrays:

- ``tying="layerwise"``: A, C, W (V, D), H (D, D), and optionally T_A, T_C (N, D);
- ``tying="adjacent"``: E, a list of K+1 arrays (V, D), and optionally T, a list of K+1 arrays (N, D).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = Mapping[str, Any]

EMPTY = -1


def _array(value: Any) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _hop_tables(weights: Weights, hop: int, tying: str) -> tuple[Floats, Floats, Any, Any]:
    """The input and output embeddings of a hop (counted from 0), then their temporal encodings or None."""
    if tying == "layerwise":
        return _array(weights["A"]), _array(weights["C"]), weights.get("T_A"), weights.get("T_C")
    if tying == "adjacent":
        E, T = weights["E"], weights.get("T")
        T_A, T_C = (None, None) if T is None else (T[hop], T[hop + 1])
        return _array(E[hop]), _array(E[hop + 1]), T_A, T_C
    raise ValueError(f"unknown tying {tying!r}")


def _slot_vector(table: Floats, temporal: Any, word: int, slot: int) -> Floats:
    """What one memory slot holds: the word's embedding plus the encoding of the slot's place."""
    vector = _array(table[word])
    return vector if temporal is None else vector + _array(temporal)[slot]


def _forward(
    window: Sequence[int] | NDArray[Any],
    weights: Weights,
    *,
    hops: int,
    linear_units: int,
    tying: str,
    initial_state: float,
) -> tuple[Floats, Floats]:
    """The attention weights (hops, N) and the log-probabilities (V,) of the next word."""
    if tying == "adjacent" and len(weights["E"]) != hops + 1:
        raise ValueError("adjacent tying needs one more embedding than hops")
    W = _array(weights["W"] if tying == "layerwise" else weights["E"][hops])
    words = [int(word) for word in window]
    occupied = [slot for slot, word in enumerate(words) if word != EMPTY]
    attention = np.zeros((hops, len(words)))
    u = np.full(W.shape[1], initial_state)

    for hop in range(hops):
        A, C, T_A, T_C = _hop_tables(weights, hop, tying)
        for temporal in (T_A, T_C):
            if temporal is not None and len(temporal) != len(words):
                raise ValueError("a temporal encoding has one row for each slot")

        scores = {slot: float(u @ _slot_vector(A, T_A, words[slot], slot)) for slot in occupied}
        highest = max(scores.values(), default=0.0)
        total = sum(np.exp(score - highest) for score in scores.values())
        o = np.zeros_like(u)
        for slot in occupied:
            attention[hop, slot] = np.exp(scores[slot] - highest) / total
            o = o + attention[hop, slot] * _slot_vector(C, T_C, words[slot], slot)

        u = (_array(weights["H"]) @ u if tying == "layerwise" else u) + o
        u[linear_units:] = np.maximum(u[linear_units:], 0.0)

    logits = W @ u
    highest_logit = logits.max()
    return attention, logits - (highest_logit + np.log(np.sum(np.exp(logits - highest_logit))))


def attention_of_window(window, weights, *, hops, linear_units, tying, initial_state=0.1) -> Floats:
    """The attention weights (hops, N)."""
    return _forward(window, weights, hops=hops, linear_units=linear_units, tying=tying, initial_state=initial_state)[0]


def distribution_of_window(window, weights, *, hops, linear_units, tying, initial_state=0.1) -> Floats:
    """The probability (V,) of every word to come next."""
    _, log_probabilities = _forward(
        window, weights, hops=hops, linear_units=linear_units, tying=tying, initial_state=initial_state
    )
    return np.asarray(np.exp(log_probabilities))


def nats_of_window(window, target, weights, *, hops, linear_units, tying, initial_state=0.1) -> float:
    """Minus the log-probability of ``target`` after ``window``."""
    _, log_probabilities = _forward(
        window, weights, hops=hops, linear_units=linear_units, tying=tying, initial_state=initial_state
    )
    return -float(log_probabilities[int(target)])


def nats_per_token(tokens, weights, *, hops, memory_size, linear_units, tying, initial_state=0.1) -> Floats:
    """The nats (T,) of every token, each predicted from the ``memory_size`` tokens before it."""
    nats = np.zeros(len(tokens))
    for t in range(len(tokens)):
        window = [int(tokens[p]) if p >= 0 else EMPTY for p in range(t - memory_size, t)]
        nats[t] = nats_of_window(
            window,
            tokens[t],
            weights,
            hops=hops,
            linear_units=linear_units,
            tying=tying,
            initial_state=initial_state,
        )
    return nats


def facebook_protocol(tokens, nats, memory_size, batch_size=128) -> tuple[float, int, int]:
    """What test() of the authors' code sums: the total nats, targets scored, and how many different ones.

    It scores ceil(T / batch_size) full batches, T counting the whole split. Targets run from position
    memory_size + 1 (from 0; position memory_size has a full memory too, but is left out) to the last, then
    start again at memory_size + 1, as often as it takes. Its mean cost is total / scored.
    """
    length, first = len(tokens), memory_size + 1
    if len(nats) != length:
        raise ValueError("nats has one entry for each token")
    if length <= first:
        raise ValueError("the text is too short to score")
    total, scored, seen, position = 0.0, 0, set(), first
    batches = -(-length // batch_size)
    for _ in range(batches):
        for _ in range(batch_size):
            total += float(nats[position])
            scored += 1
            seen.add(position)
            position += 1
            if position == length:
                position = first
    return total, scored, len(seen)
