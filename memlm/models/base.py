"""What every language model answers to: training, evaluation and reports know no model by name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from memlm.models.layers.head import Head

State = tuple[Tensor, ...] | None


class StoredModel(nn.Module):
    """What a checkpoint needs of a model."""

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds: parameters, those that are shared once, and tables, by name."""
        return dict(chain(self.named_parameters(), self.named_buffers()))

    def make_room(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Before a checkpoint of these shapes is loaded: resize the tensors whose size the training text decides."""


class LanguageModel(StoredModel, ABC):
    """Predicts each of L targets from the words before it.

    A row of L targets needs the C+L-1 words before and between them; -1 stands for a word before the start
    of the text. A model that carries state reads its rows in order, from the state of the step before.

    >>> import torch
    >>> model = memlm.load("runs/mine").model
    >>> model.context_size, model.carries_state
    (8, False)
    >>> inputs = torch.full((1, 8), -1)  # B = 1, C = 8, L = 1: nothing before the first word
    >>> nats, state = model.nats(inputs, torch.tensor([[0]]))
    >>> nats.shape
    torch.Size([1, 1])
    """

    head: Head
    context_size: int  # C: words before the first target of a row that the model reads
    carries_state: bool
    memory_size: int | None = None  # words that a prediction can see; None: all
    attends = False  # whether it has a memory, over which `attention` tells its weights

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.parameter_count:,} parameters>"

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) of the targets of inputs (B, C+L-1), and the state to carry on.

        What a hidden state is, the head knows: a vector of D units, or the D words of a context.
        """

    def draw(self, values: Tensor, generator: torch.Generator) -> None:
        """Fill `values` with initial weights; a model that has parameters says how."""
        raise NotImplementedError

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw every parameter; the values depend on the seed alone, not on how a parameter lies in memory."""
        generator = torch.Generator().manual_seed(seed)
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
    def device(self) -> torch.device:
        """Where the model is."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def parameter_count(self) -> int:
        """Number of weights, those that are shared counted once."""
        return sum(p.numel() for p in self.parameters())
