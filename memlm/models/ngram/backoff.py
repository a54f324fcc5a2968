"""The head of an n-gram model: looks up the distribution of the next word in sorted tables.

R contexts (rows), C words in a context, V words, n n-grams of an order.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from memlm.models.layers.head import Head
from memlm.models.ngram.smoothing import SmoothedNgrams


class Table(nn.Module):
    """The n-grams of one order in order of their keys, with their probabilities and backoff weights.

    The key of an n-gram is p * V + w: w is its last word, and p is the index of the words before it in the table of
    the order below (0 for order 1). Logarithms are natural.
    """

    keys: Tensor  # (n,) int64
    log_p: Tensor  # (n,) of the last word, given the words before it
    log_backoff: Tensor  # (n,) backoff weight of the n-gram as a context; 0 if nothing is known to come after it

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.register_buffer("keys", torch.empty(0, dtype=torch.int64))
        self.register_buffer("log_p", torch.empty(0, dtype=torch.float64))
        self.register_buffer("log_backoff", torch.empty(0, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.keys)

    def words(self, indices: Tensor) -> Tensor:
        """The last words of the n-grams with these indices."""
        return self.keys[indices] % self.vocabulary_size

    def backoff(self, contexts: Tensor) -> Tensor:
        """Log backoff weights (R,) of the contexts with these indices (R,); 0 for index -1, an unknown context."""
        return torch.where(contexts < 0, 0, self.log_backoff[contexts])

    def find(self, contexts: Tensor, words: Tensor) -> Tensor:
        """Indices (R,) of the n-grams with these contexts' indices (R,) and last words (R,).

        The index is -1 if the n-gram is not in the table, and always after a context with index -1.
        """
        keys = contexts * self.vocabulary_size + words
        indices = torch.searchsorted(self.keys, keys).clamp_max(len(self) - 1)
        return torch.where(self.keys[indices] == keys, indices, -1)

    def continuations(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """All n-grams after the contexts with these indices (R,): for each its row, in rising order, and its index."""
        begins = torch.searchsorted(self.keys, contexts * self.vocabulary_size)
        counts = torch.searchsorted(self.keys, (contexts + 1) * self.vocabulary_size) - begins
        rows = torch.repeat_interleave(counts)
        offsets = begins - (counts.cumsum(0) - counts)  # (R,) index in the table minus position in the result
        return rows, torch.arange(len(rows), device=rows.device) + offsets[rows]


class ContextsOfLength(NamedTuple):
    """The contexts of one length."""

    contexts: Tensor  # (R,) their indices in the table of their order, -1 for unknown contexts
    log_backoff: Tensor  # (R,)
    table: Table  # the n-grams that are one word longer


class BackoffHead(Head):
    """A word has the probability of its longest known n-gram, times the backoff weights of the longer known contexts.

    The hidden states are contexts: C word ids, the nearest word last. There is one table per order, 1 to C+1. Before
    they are filled, all words are equally likely. Logarithms are natural.
    """

    def __init__(self, vocabulary_size: int, order: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(Table(vocabulary_size) for _ in range(order))
        words = self.table(1)
        words.keys = torch.arange(vocabulary_size)
        words.log_p = torch.full((vocabulary_size,), -math.log(vocabulary_size), dtype=torch.float64)
        words.log_backoff = torch.zeros_like(words.log_p)

    def table(self, order: int) -> Table:
        """The table of an order, 1 to C+1."""
        table = self.tables[order - 1]
        assert isinstance(table, Table)
        return table

    def fill(self, order: int, found: SmoothedNgrams) -> None:
        """Put the n-grams of an order into its table. The order below must be filled already."""
        table = self.table(order)
        table.keys, table.log_p = torch.from_numpy(found.keys), torch.from_numpy(np.log(found.probabilities))
        table.log_backoff = torch.zeros_like(table.log_p)
        if order > 1:
            self.table(order - 1).log_backoff = torch.from_numpy(np.log(found.backoffs))

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, C) -> (R, V), natural logarithms."""
        log_p = self.table(1).log_p.repeat(len(hidden), 1)
        for contexts, log_backoff, table in self._by_length(hidden):
            log_p += log_backoff[:, None]
            rows, indices = table.continuations(contexts)
            log_p[rows, table.words(indices)] = table.log_p[indices]
        return log_p

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, C), (R,) -> (R,). Only the targets are looked up."""
        log_p = self.table(1).log_p[targets]
        for contexts, log_backoff, table in self._by_length(hidden):
            indices = table.find(contexts, targets)
            log_p = torch.where(indices < 0, log_p + log_backoff, table.log_p[indices])
        return -log_p

    def _by_length(self, hidden: Tensor) -> Iterator[ContextsOfLength]:
        """The contexts of 1, 2, ... words, up to the longest that any n-gram continues."""
        for length in range(1, hidden.shape[1] + 1):
            table = self.table(length + 1)
            if not len(table):
                return
            contexts = self._indices(hidden[:, -length:])
            yield ContextsOfLength(contexts, self.table(length).backoff(contexts), table)

    def _indices(self, words: Tensor) -> Tensor:
        """Indices (R,) of n-grams, given as words (R, order), in the table of their order; -1 if not there."""
        indices = words[:, 0]
        for order in range(2, words.shape[1] + 1):
            indices = self.table(order).find(indices, words[:, order - 1])
        return indices
