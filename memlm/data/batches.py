"""Batches of a text: rows of consecutive targets, for memory models and recurrent models alike.

B rows, L consecutive targets per row, C words of context before the first target, T tokens in the text, R restarts.
A span is (starts, L): B rows with the targets start..start+L-1. Plans yield spans; `gather` reads their words.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memlm.config.training import TrainConfig
from memlm.data.corpus.reading import Tokens

EMPTY = -1  # in place of words before the start of the text, and of missing targets

Starts = npt.NDArray[np.int64]


class Span(NamedTuple):
    """B rows of `length` consecutive targets each."""

    starts: Starts
    length: int


NOTHING = Span(np.empty(0, np.int64), 0)


class Batch(NamedTuple):
    """`inputs` (B, C+L-1), the words before and between the targets of each row; `targets` (B, L).

    With R restarts: (R, B, C+L-1) and (R, B, L).
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]


def gather(tokens: Tokens, span: Span, context: int) -> Batch:
    """The batch of a span. Words before the start of the text are EMPTY."""
    starts = span.starts[:, None]
    inputs_at = starts + np.arange(-context, span.length - 1)
    targets_at = starts + np.arange(span.length)
    inputs = tokens[np.maximum(inputs_at, 0)].astype(np.int64)
    inputs[inputs_at < 0] = EMPTY
    return Batch(inputs, tokens[targets_at].astype(np.int64))


def gather_together(tokens: Tokens, spans: Sequence[Span], context: int, *, rows: int, length: int) -> Batch:
    """The batch of R restarts with one span each, padded to B = `rows` and L = `length`.

    The padded targets are EMPTY; their inputs are arbitrary words of the text.
    """
    starts = np.full((len(spans), rows, 1), min(context, len(tokens) - 1))
    lengths = np.zeros_like(starts)
    for restart, span in enumerate(spans):
        starts[restart, : len(span.starts), 0] = span.starts
        lengths[restart, : len(span.starts)] = span.length
    inputs_at = starts + np.arange(-context, length - 1)
    targets_at = starts + np.arange(length)
    inputs = tokens[inputs_at.clip(0, len(tokens) - 1)].astype(np.int64)
    inputs[inputs_at < 0] = EMPTY
    targets = tokens[targets_at.clip(0, len(tokens) - 1)].astype(np.int64)
    targets[np.arange(length) >= lengths] = EMPTY
    return Batch(inputs, targets)


def plan_epoch(config: TrainConfig, total: int, epoch: int) -> list[Span]:
    """The steps of epoch 0, 1, ... over `total` targets. They depend on the seed and the epoch alone."""
    rng = np.random.default_rng([config.seed, epoch])
    if config.sampling == "windows":
        return list(random_windows(total, config.batch_size, rng))
    rows = config.batch_size // config.chunk_length
    if config.sampling == "streams":
        return list(streams(total, config.chunk_length, rows))
    return list(random_chunks(total, config.chunk_length, rows, rng))


def random_chunks(total: int, length: int, rows: int, rng: np.random.Generator) -> Iterator[Span]:
    """Each of `total` targets once: the text is cut into chunks at a random offset, and the chunks are shuffled.

    The remainders at the start and at the end are shorter chunks, each a step of its own.
    """
    offset = int(rng.integers(length)) if total > length else 0
    starts = np.arange(offset, total - length + 1, length)
    steps = [Span(rows_of, length) for rows_of in _split(rng.permutation(starts), rows)]
    tail = int(starts[-1]) + length if len(starts) else offset
    for start, end in ((0, offset), (tail, total)):
        if end > start:
            steps.insert(int(rng.integers(len(steps) + 1)), Span(np.array([start]), end - start))
    yield from steps


def random_windows(total: int, batch_size: int, rng: np.random.Generator) -> Iterator[Span]:
    """ceil(total / batch_size) steps of random positions, drawn with replacement as in the reference code."""
    for _ in range(-(-total // batch_size)):
        yield Span(rng.integers(total, size=batch_size), 1)


def streams(total: int, length: int, rows: int) -> Iterator[Span]:
    """Each target once and in order: `rows` equal pieces of the text side by side, `length` targets per step.

    Rows that are one target longer come first. A model can then carry its state by dropping the last rows.
    """
    rows = min(rows, total)
    size, longer = divmod(total, rows)
    begins = np.arange(rows) * size + np.minimum(np.arange(rows), longer)
    for at in range(0, size, length):
        yield Span(begins + at, min(length, size - at))
    if longer:
        yield Span(begins[:longer] + size, 1)


def consecutive(total: int, length: int, rows: int) -> Iterator[Span]:
    """Each target once, in order, in chunks of `length`, `rows` chunks per step. The remainder is a shorter chunk."""
    whole = total - total % length
    for starts in _split(np.arange(0, whole, length), rows):
        yield Span(starts, length)
    if whole < total:
        yield Span(np.array([whole]), total - whole)


def _split(starts: Starts, rows: int) -> Iterator[Starts]:
    for at in range(0, len(starts), rows):
        yield starts[at : at + rows]
