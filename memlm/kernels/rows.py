"""Rows of embedding tables: summed by word, and added to the tables.

P places in a text, U different words among them, V words, D units.
"""

import ctypes
from collections.abc import Sequence

from torch import Tensor

from memlm import kernels


class _Sums(kernels.Job):
    """`struct sums` of kernels.c."""

    _fields_ = (
        *kernels.numbers("table", "places", "words", "units"),
        *kernels.pointers("ids", "different", "order", "first", "rows", "out"),
    )


class _Additions(kernels.Job):
    """`struct additions` of kernels.c."""

    _fields_ = (
        *kernels.pointers("table", "words", "rows"),
        *kernels.numbers("count", "units"),
        ("factor", ctypes.c_double),
    )


def sum_words(ids: Tensor, tables: Sequence[Tensor], vocabulary_size: int) -> tuple[Tensor, list[Tensor]]:
    """The different ids (U,) of places (P,), in order, and the sums of each table's rows (P, D) over them: (U, D).

    Raises IndexError for ids that are not below the size of the vocabulary.
    """
    P, ids = len(ids), kernels.indices(ids, vocabulary_size)
    different, order, first = (ids.new_empty(P + 1) for _ in range(3))
    job = _Sums()
    job.set(table=vocabulary_size, places=P, ids=ids, different=different, order=order, first=first)
    kernels.call("memlm_find_words", job)
    found = []
    for rows in tables:
        found.append(rows.new_empty(job.words, rows.shape[-1]))
        job.set(units=rows.shape[-1], rows=rows, out=found[-1])
        kernels.call("memlm_sum_words", job)
    return different[: job.words], found


def add_rows(table: Tensor, words: Tensor, rows: Tensor, factor: float) -> None:
    """table[words] += factor * rows: (V, D), (U,), (U, D). The words differ from each other."""
    job = _Additions()
    job.set(table=table, words=words, rows=rows, count=len(words), units=rows.shape[-1])
    job.factor = factor
    kernels.call("memlm_add_rows", job)
