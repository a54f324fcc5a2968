"""The output layer and its loss.

R targets (rows), D units, V words.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from memlm.models.layers import softmax


def output_weight(vocabulary_size: int, units: int) -> nn.Parameter:
    """An uninitialised weight (V, D), stored as (D, V). The gradient h^T g then has the same layout in memory."""
    return nn.Parameter(torch.empty(units, vocabulary_size).t())


class Head(nn.Module, ABC):
    """Turns hidden states (R, ...) into distributions over all V words. Their shape depends on the head."""

    @abstractmethod
    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, ...) -> (R, V), natural logarithms."""

    @abstractmethod
    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, ...), (R,) -> (R,)."""


class TrainableHead(Head):
    """A head over hidden states (R, D) that can be trained."""

    precision = torch.float32  # of the products in `backward`; products in bfloat16 accumulate in float32
    waits_for_device = False  # whether `backward` reads shapes from the device: a CUDA graph cannot contain that

    @abstractmethod
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradients in one pass.

        Adds the gradients of the head's parameters to their `.grad`. Returns the nats (R,) of the targets and the
        gradient of the sum of the nats with respect to `hidden` (R, D).
        """


class SoftmaxHead(TrainableHead):
    """softmax(W h + b) over all V words. W may be another module's weight. b is optional."""

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
    """Add `grad` to the parameter's gradient, or make it the gradient if there is none yet."""
    if parameter.grad is None:
        parameter.grad = grad
    else:
        parameter.grad += grad
