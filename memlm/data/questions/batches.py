"""The order of the questions in an epoch, and the empty memories that are added to each story.

R restarts, B questions, S memory slots, n questions per epoch. [C] is the code of Sukhbaatar et al. 2015.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """One epoch of each restart: the order of its questions, and the empty memories that are added to each story.

    The first `blanks` of the `places` are used. An empty memory at place p, counted backwards from the question, makes
    all sentences at p and before it one step older.
    """

    order: Ids  # (R, n): indices of questions
    blanks: Ids  # (R, n)
    places: Ids  # (R, n, most blanks)


def add_blanks(times: Ids, blanks: Ids, places: Ids, memory_size: int) -> Ids:
    """Times (R, B, S) of the slots after empty memories are added, one by one, at `places` (R, B, most).

    A sentence that is pushed out of the memory keeps the oldest time, as in [C].
    """
    times = times.copy()
    for number in range(places.shape[2]):
        place = np.where(blanks > number, places[:, :, number], memory_size)
        times += times >= place[:, :, None]
    return np.minimum(times, memory_size - 1)


def plan_question_epoch(train: Ids, lengths: Ids, *, seeds: list[int], epoch: int, noise: float) -> Plan:
    """The plan of epoch 0, 1, ... For each restart it depends on its seed, its questions (R, n) and the epoch alone.

    From 0 to ceil(noise * sentences) empty memories are added to a story, all numbers with equal probability [C].
    """
    plans = [_plan(*each, epoch=epoch, lengths=lengths, noise=noise) for each in zip(train, seeds, strict=True)]
    return Plan(*(np.stack(parts) for parts in zip(*plans, strict=True)))


def _plan(train: Ids, seed: int, *, epoch: int, lengths: Ids, noise: float) -> Plan:
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(train)
    slots = lengths[order]
    most = np.ceil(noise * slots).astype(np.int64)
    blanks = rng.integers(most + 1)
    added = np.arange(int(np.ceil(noise * lengths.max())))
    places = rng.integers(slots[:, None] + added + 1)
    return Plan(order, blanks, places)


def unique_rows(rows: Ids, count: int) -> tuple[Ids, Ids]:
    """The unique values below `count` of rows (R, ...): a table (R, P) of them, and the index of each value in it."""
    R = len(rows)
    flat = rows.reshape(R, -1)
    own = np.arange(R)[:, None]
    used = np.zeros((R, count), np.bool_)
    used[own, flat] = True
    rank = used.cumsum(axis=1) - 1
    table = np.zeros((R, int(rank[:, -1].max()) + 1), np.int64)
    restart, value = used.nonzero()
    table[restart, rank[restart, value]] = value
    return table, rank[own, flat].reshape(rows.shape)
