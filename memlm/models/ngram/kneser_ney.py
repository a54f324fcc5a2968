"""An n-gram language model with modified interpolated Kneser-Ney smoothing.

B rows, L targets per row, C words in a context, T tokens.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from memlm.config.models import KneserNeyConfig
from memlm.models.base import LanguageModel, State
from memlm.models.ngram.backoff import BackoffHead
from memlm.models.ngram.smoothing import SmoothedNgrams, Tokens, smooth


class KneserNey(LanguageModel):
    """An n-gram model. It is not trained: `count` fills its tables from a text. A hidden state is the context itself.

    A context begins at the last `<eos>`, which marks the start of the line. The start of the text is like an `<eos>`.
    Contexts are not cut here: n-grams across the end of a line were not counted, so none are found.
    """

    head: BackoffHead
    carries_state = False

    def __init__(self, config: KneserNeyConfig, vocabulary_size: int, eos: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.eos = eos
        self.order = config.order
        self.context_size = config.order - 1
        self.head = BackoffHead(vocabulary_size, config.order)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Contexts (B, L, C), as word ids, for the targets of inputs (B, C+L-1)."""
        words = torch.where(inputs < 0, self.eos, inputs)
        return words.unfold(1, self.context_size, 1), None

    def count(self, tokens: Tokens) -> Iterator[SmoothedNgrams]:
        """Fill the tables from a text (T,). Yields the n-grams of each order when they are in the table."""
        for order, found in enumerate(smooth(tokens, self.order, self.vocabulary_size, self.eos), start=1):
            self.head.fill(order, found)
            yield found

    def make_room(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Resize each table to the length of its keys. The table of order 1 has the size of the vocabulary."""
        for order in range(2, self.order + 1):
            for buffer in self.head.table(order).buffers():
                buffer.resize_(shapes[f"head.tables.{order - 1}.keys"])

    @property
    def parameter_count(self) -> int:
        """Number of n-grams. Each has one probability; the backoff weights follow from these."""
        return sum(len(self.head.table(order)) for order in range(1, self.order + 1))
