"""The output layer and its loss.

R targets (rows), D units, V words.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from memlm.models.products import product

BLOCK = 128  # rows at a time: their logits stay in the cache, and the memory of one block serves the next
CUDA_BLOCK = 4096  # there it is the calls that cost


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


class SoftmaxHead(Head):
    """softmax(W h + b) over all V words; W may be another module's weight, b may be missing."""

    def __init__(self, weight: nn.Parameter, *, bias: bool) -> None:
        super().__init__()
        self.weight = weight
        self.bias = nn.Parameter(weight.new_empty(len(weight))) if bias else None
        self.precision = torch.float32  # of the products in `backward`; bfloat16 ones accumulate in float32

    def logits(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V)."""
        if torch.is_grad_enabled():
            return nn.functional.linear(hidden, self.weight, self.bias)
        logits = product(hidden, self.weight.t())
        return logits if self.bias is None else logits.add_(self.bias)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V), natural logarithms."""
        return torch.log_softmax(self.logits(hidden), dim=-1)

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, D), (R,) -> (R,); differentiable."""
        if torch.is_grad_enabled():
            return nn.functional.cross_entropy(self.logits(hidden), targets, reduction="none")
        return torch.cat([_softmax_nats(self.logits(rows), of)[1] for rows, of in _blocks(hidden, targets)])

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and gradient in one pass, in place of a second copy of the (R, V) logits.

        Adds the gradients of the weight and the bias to their `.grad`; returns the nats (R,) of the targets and the
        gradient of their sum with respect to `hidden` (R, D).
        """
        if self.precision == torch.bfloat16 and hidden.dtype == torch.float32:
            rows, weight = hidden.bfloat16(), self.weight.bfloat16()
        else:
            rows, weight = hidden, self.weight
        blocks = _blocks(rows, targets)
        nats, grads = zip(*(self._backward_block(block, of, weight) for block, of in blocks), strict=True)
        return torch.cat(nats), torch.cat(grads).to(hidden.dtype)

    def _backward_block(self, rows: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        logits = product(rows, weight.t())
        if self.bias is not None:
            logits.add_(self.bias)
        grad, nats = _softmax_nats(logits, targets)
        grad.scatter_add_(1, targets[:, None], grad.new_full((len(grad), 1), -1))  # softmax - onehot(target)
        if self.bias is not None:
            _accumulate(self.bias, grad.sum(dim=0, dtype=self.bias.dtype))
        _accumulate(self.weight, self._weight_gradient(grad, rows).to(self.weight.dtype))
        return nats, product(grad, weight)

    def _weight_gradient(self, grad: Tensor, rows: Tensor) -> Tensor:
        """g^T h (V, D), computed in the layout of the weight."""
        if self.weight.stride(0) == 1:
            return product(rows.t(), grad).t()
        return product(grad.t(), rows)


def _blocks(hidden: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    rows = CUDA_BLOCK if hidden.is_cuda else BLOCK
    return zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)


def _softmax_nats(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax (R, V), in place of the logits, and -log p of the targets (R,).

    log(sum(exp)) follows from the largest probability, which never underflows, without another pass of exponentials.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    highest = logits.amax(dim=-1)
    of_target = logits.gather(1, targets[:, None]).squeeze(1).to(wide)
    probabilities = torch.softmax(logits, dim=-1, out=logits)
    log_sum = highest.to(wide) - probabilities.amax(dim=-1).to(wide).log()
    return probabilities, log_sum - of_target


def _accumulate(parameter: nn.Parameter, grad: Tensor) -> None:
    if parameter.grad is None:
        parameter.grad = grad
    else:
        parameter.grad += grad
