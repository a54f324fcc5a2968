"""A head of n-grams: the distribution of the word after a context, found in sorted tables.

R contexts (rows), C words in a context, V words, n n-grams of an order.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from memlm.models.layers.head import Head
from memlm.models.ngram.smoothing import Smoothed


class Table(nn.Module):
    """The n-grams of one order by rising key, with their probabilities and what they leave to shorter contexts.

    An n-gram of last word w after the one at place p of the order below has the key p * V + w; for order 1, p is 0.
    """

    keys: Tensor  # (n,) int64
    log_p: Tensor  # (n,) of the last word after those before it
    log_backoff: Tensor  # (n,) of the n-gram as a context; 0 if nothing is known to come after it

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.register_buffer("keys", torch.empty(0, dtype=torch.int64))
        self.register_buffer("log_p", torch.empty(0, dtype=torch.float64))
        self.register_buffer("log_backoff", torch.empty(0, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.keys)

    def words(self, places: Tensor) -> Tensor:
        """The last words of the n-grams at these places."""
        return self.keys[places] % self.vocabulary_size

    def backoff(self, contexts: Tensor) -> Tensor:
        """log of what the contexts at these places (R,) leave to shorter ones: (R,); 0, all of it, for those at -1."""
        return torch.where(contexts < 0, 0, self.log_backoff[contexts])

    def find(self, contexts: Tensor, words: Tensor) -> Tensor:
        """Places of the n-grams of these contexts' places (R,) and last words (R,): (R,); -1 for what is not there.

        Nothing is there after a context at -1.
        """
        keys = contexts * self.vocabulary_size + words
        places = torch.searchsorted(self.keys, keys).clamp_max(len(self) - 1)
        return torch.where(self.keys[places] == keys, places, -1)

    def after(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """All n-grams of these contexts' places (R,): the row of each, rising, and its place."""
        begins = torch.searchsorted(self.keys, contexts * self.vocabulary_size)
        counts = torch.searchsorted(self.keys, (contexts + 1) * self.vocabulary_size) - begins
        rows = torch.repeat_interleave(counts)
        ahead = begins - (counts.cumsum(0) - counts)  # of a row: from the number of an n-gram found to its place
        return rows, torch.arange(len(rows), device=rows.device) + ahead[rows]


class Known(NamedTuple):
    """The contexts of one length."""

    contexts: Tensor  # (R,) their places, -1 for those that are not known
    log_backoff: Tensor  # (R,)
    table: Table  # of the n-grams one word longer


class BackoffHead(Head):
    """A word has the probability of its longest known n-gram, times what longer known contexts leave to shorter ones.

    Its hidden states are contexts: C word ids, the nearest one last. One table an order, 1 to C+1; until they are
    filled, every word is as likely as another. Logarithms are natural.
    """

    def __init__(self, vocabulary_size: int, order: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(Table(vocabulary_size) for _ in range(order))
        words = self.table(1)
        words.keys = torch.arange(vocabulary_size)
        words.log_p = torch.full((vocabulary_size,), -math.log(vocabulary_size), dtype=torch.float64)
        words.log_backoff = torch.zeros_like(words.log_p)

    def table(self, order: int) -> Table:
        """The n-grams of an order."""
        table = self.tables[order - 1]
        assert isinstance(table, Table)
        return table

    def fill(self, order: int, found: Smoothed) -> None:
        """Put the n-grams of an order in their table; those of the order below are there already."""
        table = self.table(order)
        table.keys, table.log_p = torch.from_numpy(found.keys), torch.from_numpy(np.log(found.probabilities))
        table.log_backoff = torch.zeros_like(table.log_p)
        if order > 1:
            self.table(order - 1).log_backoff = torch.from_numpy(np.log(found.backoffs))

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, C) -> (R, V)."""
        log_p = self.table(1).log_p.repeat(len(hidden), 1)
        for contexts, log_backoff, table in self._known(hidden):
            log_p += log_backoff[:, None]
            rows, places = table.after(contexts)
            log_p[rows, table.words(places)] = table.log_p[places]
        return log_p

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target, looked up alone: (R, C), (R,) -> (R,)."""
        log_p = self.table(1).log_p[targets]
        for contexts, log_backoff, table in self._known(hidden):
            places = table.find(contexts, targets)
            log_p = torch.where(places < 0, log_p + log_backoff, table.log_p[places])
        return -log_p

    def _known(self, hidden: Tensor) -> Iterator[Known]:
        """The contexts of 1, 2, ... words, as long as there are n-grams to go on with any."""
        for length in range(1, hidden.shape[1] + 1):
            table = self.table(length + 1)
            if not len(table):
                return
            contexts = self._places(hidden[:, -length:])
            yield Known(contexts, self.table(length).backoff(contexts), table)

    def _places(self, words: Tensor) -> Tensor:
        """Places of n-grams, given as words (R, n), in the table of their order: (R,); -1 for what is not there."""
        places = words[:, 0]
        for order in range(2, words.shape[1] + 1):
            places = self.table(order).find(places, words[:, order - 1])
        return places
