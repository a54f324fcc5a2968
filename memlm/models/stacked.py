"""R memory networks with the same shapes and different weights, as one computation.

R restarts, B rows per restart, L targets per row, M words that a row's windows cover, D units, V words.
"""

import torch
from torch import Tensor, nn

from memlm.config.models import MemN2NConfig
from memlm.models.base import State
from memlm.models.layers import softmax
from memlm.models.layers.head import SoftmaxHead, output_weight
from memlm.models.memn2n import MemN2N


class StackedHead(SoftmaxHead):
    """R output layers, for hidden states (R, rows, D).

    On a CPU they are computed one after another, so that the logits of one restart stay in the cache.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__(weight, bias=False)
        self._gradient: Tensor | None = None  # reused: allocating it in each step would be slow

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, rows, D), (R, rows) -> (R, rows)."""
        if hidden.is_cuda:
            return super().nats(hidden, targets)
        return torch.stack([softmax.nats(*each, None) for each in zip(hidden, targets, self.weight, strict=True)])

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (R, rows), and the gradients of their sums with respect to `hidden` (R, rows, D)."""
        if hidden.is_cuda:
            return super().backward(hidden, targets)
        if self._gradient is None:
            self._gradient = torch.empty_like(self.weight)
        nats, grads = [], []
        for each, into in zip(zip(hidden, targets, self.weight, strict=True), self._gradient, strict=True):
            found = softmax.gradients(*each, None, self.precision)
            into.copy_(found.weight)
            nats.append(found.nats)
            grads.append(found.rows)
        self.weight.grad = self._gradient
        return torch.stack(nats), torch.stack(grads)


class StackedMemN2N(MemN2N):
    """R restarts of MemN2N. Each parameter has a first dimension R. Restarts share no weights."""

    head: StackedHead

    def __init__(self, config: MemN2NConfig, vocabulary_size: int, restarts: int) -> None:
        super().__init__(config, vocabulary_size)
        self.restarts, self.vocabulary_size = restarts, vocabulary_size
        self.embeddings = nn.ParameterList(_stacked(p, restarts) for p in self.embeddings)
        self.times = nn.ParameterList(_stacked(p, restarts) for p in self.times)
        if self.transition is not None:
            self.transition = _stacked(self.transition, restarts)
        output = output_weight(vocabulary_size, config.units)
        self.head = StackedHead(_stacked(output, restarts) if self.layerwise else self.embeddings[-1])

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw the parameters of restart r: they equal those of a MemN2N with seed + r."""
        for restart in range(self.restarts):
            generator = torch.Generator().manual_seed(seed + restart)
            for parameter in self.parameters():
                values = torch.empty(parameter.shape[1:], dtype=parameter.dtype)
                self.draw_weights(values, generator)
                parameter[restart].copy_(values)

    @torch.no_grad()
    def extract(self, restart: int, into: MemN2N) -> None:
        """Copy the parameters of a restart into a single model."""
        for ours, theirs in zip(self.parameters(), into.parameters(), strict=True):
            theirs.copy_(ours[restart])

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (R, B, L, D) for the targets of inputs (R, B, M)."""
        R, B, _ = inputs.shape
        hidden, _ = super().forward(inputs.flatten(0, 1))
        return hidden.view(R, B, *hidden.shape[1:]), None

    def nats(self, inputs: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """-log p of each target under each restart, all on the same text: (B, M), (B, L) -> (R, B, L)."""
        hidden, _ = self(inputs.expand(self.restarts, -1, -1))
        found = self.head.nats(hidden.flatten(1, 2), targets.flatten().expand(self.restarts, -1))
        return found.view(-1, *targets.shape), None

    def rows(self, inputs: Tensor) -> Tensor:
        """The row numbers in the flattened embeddings (R V, D) for the words of inputs (R B, M)."""
        first = torch.arange(self.restarts, device=inputs.device) * self.vocabulary_size
        return (inputs.view(self.restarts, -1, inputs.shape[1]) + first[:, None, None]).flatten(0, 1)

    @property
    def parameter_count(self) -> int:
        """Number of weights of one restart. Shared weights count once."""
        return super().parameter_count // self.restarts


def _stacked(parameter: nn.Parameter, restarts: int) -> nn.Parameter:
    """An uninitialised parameter (R, ...). The part of each restart has the memory layout of `parameter`."""
    size, stride = (restarts, *parameter.shape), (parameter.numel(), *parameter.stride())
    return nn.Parameter(torch.empty_strided(size, stride))
