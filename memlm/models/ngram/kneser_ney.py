"""N-grams with modified interpolated Kneser-Ney smoothing as a language model.

B rows, L targets in a row, C words in a context, T tokens.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from memlm.config.models import KneserNeyConfig
from memlm.models.base import LanguageModel, State
from memlm.models.ngram.backoff import BackoffHead
from memlm.models.ngram.smoothing import SmoothedNgrams, Tokens, smooth


class KneserNey(LanguageModel):
    """Is counted, not trained: `count` fills its tables from a text. Its hidden state is the context itself.

    A context begins at the last `<eos>`, which stands for the start of the line; so does the start of the text. That
    needs no cutting here: no n-gram that goes on past the end of a line was counted, so none is found.
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
        """Contexts (B, L, C), as word ids, of the targets of inputs (B, C+L-1)."""
        words = torch.where(inputs < 0, self.eos, inputs)
        return words.unfold(1, self.context_size, 1), None

    def count(self, tokens: Tokens) -> Iterator[SmoothedNgrams]:
        """Fill the tables from a text (T,), and yield the n-grams of each order as they are put there."""
        for order, found in enumerate(smooth(tokens, self.order, self.vocabulary_size, self.eos), start=1):
            self.head.fill(order, found)
            yield found

    def make_room(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Tables as long as their keys; that of order 1 holds the vocabulary."""
        for order in range(2, self.order + 1):
            for buffer in self.head.table(order).buffers():
                buffer.resize_(shapes[f"head.tables.{order - 1}.keys"])

    @property
    def parameter_count(self) -> int:
        """Number of n-grams: each has a probability, and what it leaves to shorter contexts follows from them."""
        return sum(len(self.head.table(order)) for order in range(1, self.order + 1))
