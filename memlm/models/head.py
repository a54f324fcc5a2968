"""The output layer and its loss.

R targets (rows), D units, V words.
"""

import torch
from torch import Tensor, nn


class SoftmaxHead(nn.Module):
    """softmax(W h + b) over all V words; W may be another module's weight, b may be missing."""

    def __init__(self, weight: nn.Parameter, *, bias: bool) -> None:
        super().__init__()
        self.weight = weight
        self.bias = nn.Parameter(weight.new_empty(len(weight))) if bias else None

    def logits(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V)."""
        return nn.functional.linear(hidden, self.weight, self.bias)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V), natural logarithms."""
        return torch.log_softmax(self.logits(hidden), dim=-1)

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, D), (R,) -> (R,); differentiable."""
        return nn.functional.cross_entropy(self.logits(hidden), targets, reduction="none")

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and gradient in one pass, in place of a second copy of the (R, V) logits.

        Adds the gradients of the weight and the bias to their `.grad`; returns the nats (R,) of the targets and the
        gradient of their sum with respect to `hidden` (R, D).
        """
        logits = self.logits(hidden)
        at = targets[:, None]
        highest = logits.amax(dim=-1, keepdim=True)
        target_logits = logits.gather(1, at) - highest
        exps = logits.sub_(highest).exp_()
        totals = exps.sum(dim=-1, keepdim=True)
        nats = (totals.log() - target_logits).squeeze(1)
        grad = exps.div_(totals)  # softmax - onehot(target)
        grad.scatter_add_(1, at, torch.full_like(target_logits, -1))
        _accumulate(self.weight, grad.t() @ hidden)
        if self.bias is not None:
            _accumulate(self.bias, grad.sum(dim=0))
        return nats, grad @ self.weight


def _accumulate(parameter: nn.Parameter, grad: Tensor) -> None:
    parameter.grad = grad if parameter.grad is None else parameter.grad + grad
