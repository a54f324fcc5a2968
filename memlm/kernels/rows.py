"""Sum rows of embedding tables by word, and add rows to the tables.

P positions in a text, U unique words among them, V words in the vocabulary, D units.
"""

import ctypes
from collections.abc import Sequence

from torch import Tensor

from memlm import kernels


class _Sums(kernels.Job):
    """`struct sums` of kernels.c."""

    _fields_ = (
        *kernels.numbers("vocabulary", "positions", "words", "units"),
        *kernels.pointers("ids", "unique", "order", "first", "rows", "out"),
    )


class _Additions(kernels.Job):
    """`struct additions` of kernels.c."""

    _fields_ = (
        *kernels.pointers("table", "words", "rows"),
        *kernels.numbers("count", "units"),
        ("factor", ctypes.c_double),
    )


def sum_words(ids: Tensor, tables: Sequence[Tensor], vocabulary_size: int) -> tuple[Tensor, list[Tensor]]:
    """The unique ids (U,), ascending, of the words at positions (P,). For each table, the sums (U, D) by word of its
    rows (P, D).

    Raises IndexError for an id outside the vocabulary.
    """
    P, ids = len(ids), kernels.indices(ids, vocabulary_size)
    unique, order, first = (ids.new_empty(P + 1) for _ in range(3))
    job = _Sums()
    job.set(vocabulary=vocabulary_size, positions=P, ids=ids, unique=unique, order=order, first=first)
    kernels.call("memlm_find_words", job)
    found = []
    for rows in tables:
        found.append(rows.new_empty(job.words, rows.shape[-1]))
        job.set(units=rows.shape[-1], rows=rows, out=found[-1])
        kernels.call("memlm_sum_words", job)
    return unique[: job.words], found


def add_rows(table: Tensor, words: Tensor, rows: Tensor, factor: float) -> None:
    """table[words] += factor * rows, with shapes (V, D), (U,), (U, D). The words must be unique."""
    job = _Additions()
    job.set(table=table, words=words, rows=rows, count=len(words), units=rows.shape[-1])
    job.factor = factor
    kernels.call("memlm_add_rows", job)
