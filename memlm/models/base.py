"""What every language model answers to: training, evaluation and reports know no model by name."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from memlm.models.head import SoftmaxHead

State = tuple[Tensor, ...] | None


class LanguageModel(nn.Module, ABC):
    """Predicts each of L targets from the words before it.

    A row of L targets needs the C+L-1 words before and between them; -1 stands for a word before the start
    of the text. A model that carries state reads its rows in order, from the state of the step before.
    """

    head: SoftmaxHead
    context_size: int  # C: words before the first target of a row that the model reads
    carries_state: bool
    memory_size: int | None = None  # words that a prediction can see; None: all

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) of the targets of inputs (B, C+L-1), and the state to carry on."""

    @abstractmethod
    def draw(self, values: Tensor, generator: torch.Generator) -> None:
        """Fill `values` with initial weights."""

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every parameter anew; what is drawn does not depend on how a parameter lies in memory."""
        for parameter in self.parameters():
            values = torch.empty(parameter.shape, dtype=parameter.dtype)
            self.draw(values, generator)
            parameter.copy_(values)

    def nats(self, inputs: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """-log p of each target: (B, L), and the state to carry on."""
        hidden, state = self(inputs, state)
        return self.head.nats(hidden.flatten(0, 1), targets.flatten()).view_as(targets), state

    def attention(self, inputs: Tensor) -> Tensor | None:
        """What each hop attends to: (K, B, L, N), or None for a model without a memory."""
        return None

    @property
    def parameter_count(self) -> int:
        """Number of weights, those that are shared counted once."""
        return sum(p.numel() for p in self.parameters())
