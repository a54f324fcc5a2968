"""The output layer and its loss.

R targets (rows), D units, V words.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from memlm.models.layers import softmax


def output_weight(vocabulary_size: int, units: int) -> nn.Parameter:
    """An empty (V, D) weight that lies in memory as (D, V): its gradient, h^T g, then comes out in the same layout."""
    return nn.Parameter(torch.empty(units, vocabulary_size).t())


class Head(nn.Module, ABC):
    """Makes distributions over all V words of hidden states (R, ...), whatever these are."""

    @abstractmethod
    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, ...) -> (R, V), natural logarithms."""

    @abstractmethod
    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, ...), (R,) -> (R,)."""


class TrainableHead(Head):
    """A head over hidden states (R, D) that has gradients."""

    precision = torch.float32  # of the products in `backward`; bfloat16 ones accumulate in float32
    asks_device = False  # whether `backward` waits for the device to know its shapes: no CUDA graph can hold that

    @abstractmethod
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and gradient in one pass.

        Adds the gradients of the head's parameters to their `.grad`; returns the nats (R,) of the targets and the
        gradient of their sum with respect to `hidden` (R, D).
        """


class SoftmaxHead(TrainableHead):
    """softmax(W h + b) over all V words; W may be another module's weight, b may be missing."""

    def __init__(self, weight: nn.Parameter, *, bias: bool) -> None:
        super().__init__()
        self.weight = weight
        self.bias = nn.Parameter(weight.new_empty(len(weight))) if bias else None

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V), natural logarithms."""
        return softmax.log_probabilities(hidden, self.weight, self.bias)

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, D), (R,) -> (R,); differentiable."""
        return softmax.nats(hidden, targets, self.weight, self.bias)

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (R,), and the gradient of their sum with respect to `hidden` (R, D)."""
        found = softmax.gradients(hidden, targets, self.weight, self.bias, self.precision)
        accumulate(self.weight, found.weight)
        if self.bias is not None and found.bias is not None:
            accumulate(self.bias, found.bias)
        return found.nats, found.rows


def accumulate(parameter: nn.Parameter, grad: Tensor) -> None:
    """Add to the parameter's gradient."""
    if parameter.grad is None:
        parameter.grad = grad
    else:
        parameter.grad += grad
