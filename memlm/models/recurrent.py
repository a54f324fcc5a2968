"""The LSTM language model, a baseline.

B rows, L targets per row, D units, V words.
"""

import torch
from torch import Tensor, nn

from memlm.config.models import LSTMConfig
from memlm.models.base import LanguageModel, State
from memlm.models.layers.embedding import embed
from memlm.models.layers.head import TrainableHead
from memlm.models.layers.output import output_layer


class LSTM(LanguageModel):
    """Word embedding, LSTM layers, softmax (Zaremba et al. 2014, https://arxiv.org/abs/1409.2329).

    Dropout is only on connections that are not recurrent: after the embedding, between the layers and before the
    softmax. The state is carried from step to step. Before the start of the text, the input is `<eos>`.
    """

    head: TrainableHead
    carries_state = True
    context_size = 1

    def __init__(self, config: LSTMConfig, vocabulary_size: int, eos: int) -> None:
        super().__init__()
        self.config = config
        self.eos = eos
        V, D = vocabulary_size, config.units
        between = config.dropout if config.layers > 1 else 0.0
        self.embedding = nn.Parameter(torch.empty(V, D))
        # nn.LSTM would draw weights that are then overwritten. On the meta device it draws none.
        self.lstm = nn.LSTM(D, D, config.layers, dropout=between, device="meta").to_empty(device="cpu")
        self.dropout = nn.Dropout(config.dropout)
        self.head = output_layer(config, V, bias=True)

    def draw_weights(self, values: Tensor, generator: torch.Generator) -> None:
        """Every weight ~ U(-init_range, init_range)."""
        nn.init.uniform_(values, -self.config.init_range, self.config.init_range, generator=generator)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) after each word of inputs (B, L), and the state: h and c, each (layers, B, D).

        If `state` has more than B rows, the last rows of the text have ended, and their states are dropped.
        """
        rows = len(inputs)
        if state is not None:
            h, c = state
            state = (h[:, :rows].contiguous(), c[:, :rows].contiguous())
        words = torch.where(inputs < 0, self.eos, inputs).t()  # (L, B): time first is the fastest layout
        embedded = self.dropout(embed(words, [self.embedding])[0])
        outputs, state = self.lstm(embedded, state)
        return self.dropout(outputs).transpose(0, 1), state
