"""A weakly supervised baseline: an LSTM reads the story and the question word by word. Its last state answers.

R restarts, B questions, S sentences, W words per sentence, L words read, D units, V words in the vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from memlm.config.models import LSTMAnswererConfig
from memlm.models.answerer import Answerer, QuestionBatch


class LSTMAnswerer(Answerer):
    """An LSTM with one layer. A recurrent step is one matrix product for all restarts."""

    def __init__(self, config: LSTMAnswererConfig, vocabulary_size: int, restarts: int) -> None:
        super().__init__()
        R, V, D = restarts, vocabulary_size, config.units
        self.config, self.restarts = config, R
        self.memory_size, self.init_std = config.memory_size, config.init_std
        self.embedding = nn.Parameter(torch.empty(R, V, D))
        self.inputs = nn.Parameter(torch.empty(R, 4 * D, D))
        self.recurrent = nn.Parameter(torch.empty(R, 4 * D, D))
        self.bias = nn.Parameter(torch.empty(R, 4 * D))
        self.output = nn.Parameter(torch.empty(R, V, D))

    def prepare(self, words: Tensor) -> Tensor:
        """The ids themselves: (X, W)."""
        return words

    def forward(self, batch: QuestionBatch, linear_start: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (R, B, V), and no attention weights, because there are no hops."""
        ids, lengths = words_in_order(batch)  # (R, B, L), (R, B)
        R, B, _ = ids.shape
        gates_of_words = self.embedding @ self.inputs.mT + self.bias.unsqueeze(1)  # (R, V, 4D)
        first = torch.arange(R, device=ids.device)[:, None, None] * gates_of_words.shape[1]
        steps = embedding(ids + first, gates_of_words.flatten(0, 1)).unbind(2)  # L of (R, B, 4D)
        state = cell = steps[0].new_zeros(R, B, self.config.units)
        states = []
        for step in steps:
            i, f, g, o = torch.baddbmm(step, state, self.recurrent.mT).chunk(4, dim=2)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            state = o.sigmoid() * cell.tanh()
            states.append(state)
        last = (lengths - 1)[None, :, :, None].expand(1, R, B, self.config.units)
        return torch.stack(states).gather(0, last)[0] @ self.output.mT, ()


def words_in_order(batch: QuestionBatch) -> tuple[Tensor, Tensor]:
    """The ids of the words of each story and its question (R, B, L), padded at the end with 0; their number (R, B).

    In the batch, `sentences` and `questions` are ids, padded with -1.
    """
    own = torch.arange(len(batch.stories), device=batch.stories.device)[:, None, None]
    words = batch.sentences[own, batch.stories].masked_fill(~batch.filled.unsqueeze(3), -1)  # (R, B, S, W)
    ids = torch.cat([words.flatten(2), batch.questions], dim=2)
    lengths = (ids >= 0).sum(2)
    order = (ids < 0).to(torch.uint8).argsort(dim=2, stable=True)
    return ids.gather(2, order)[:, :, : int(lengths.max())].clamp_min(0), lengths
