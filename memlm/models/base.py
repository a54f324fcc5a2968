"""The interface of all models. Training and evaluation use a model only through this interface.

B rows, L targets per row, C words of context, K hops, N memory slots, D units.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from memlm.models.layers.head import Head

State = tuple[Tensor, ...] | None


class StoredModel(nn.Module):
    """A model that a checkpoint can hold."""

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint by name: parameters (shared ones once) and buffers."""
        return dict(chain(self.named_parameters(), self.named_buffers()))

    def make_room(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Before a checkpoint with these shapes is loaded: resize the tensors whose size depends on the text."""

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(chain(self.parameters(), self.buffers())).device


class LanguageModel(StoredModel, ABC):
    """A language model. It predicts each target from the words before it.

    For a row of L targets it reads the C+L-1 words before and between them; -1 is a word before the start of the text.
    If a model carries state, each row continues the same row of the step before.

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
    context_size: int  # C: words that the model reads before the first target of a row
    carries_state: bool
    memory_size: int | None = None  # words that a prediction can see; None if there is no limit
    attends = False  # whether it has a memory, so that `attention` returns weights

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.parameter_count:,} parameters>"

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) for the targets of inputs (B, C+L-1), and the state for the next step.

        The head interprets a hidden state: it is a vector of D units, or the D words of a context.
        """

    def draw_weights(self, values: Tensor, generator: torch.Generator) -> None:
        """Fill `values` with initial weights. A model with parameters must implement this."""
        raise NotImplementedError

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw every parameter. The values depend only on the seed, not on the memory layout of a parameter."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            values = torch.empty(parameter.shape, dtype=parameter.dtype)
            self.draw_weights(values, generator)
            parameter.copy_(values)

    def nats(self, inputs: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """-log p of each target (B, L), and the state for the next step."""
        hidden, state = self(inputs, state)
        return self.head.nats(hidden.flatten(0, 1), targets.flatten()).view_as(targets), state

    def attention(self, inputs: Tensor) -> Tensor | None:
        """The attention weights of each hop, (K, B, L, N), or None for a model without a memory."""
        return None

    @property
    def parameter_count(self) -> int:
        """Number of weights. Shared weights count once."""
        return sum(p.numel() for p in self.parameters())
