"""Plain SGD on a summed loss with a global clip, and the annealing of its rate.

[C] is the reference code of Sukhbaatar et al. 2015, https://github.com/facebookarchive/MemNN.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from memlm import kernels
from memlm.kernels.rows import add_rows


class ClippedSGD:
    """p <- p - lr g min(1, clip / |g|), where g is the whole gradient, of all parameters together [C].

    Gradients that are sparse touch only the rows they hold. They hold each row once, as
    models.layers.embedding makes them: to have PyTorch sort them for that would cost some percent of a step.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, clip: float) -> None:
        self.parameters = list(parameters)
        self._lr = self.parameters[0].new_tensor(lr, requires_grad=False)
        self.lr = lr
        self.clip = clip

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._rate

    @lr.setter
    def lr(self, rate: float) -> None:
        self._rate = rate
        self._lr.fill_(rate)  # where a captured step reads it

    @torch.no_grad()
    def step(self) -> Tensor:
        """Update the parameters, forget their gradients, and return the norm of the gradient before the clip.

        A gradient that is not finite updates nothing on a CPU; on CUDA, where asking would cost a
        synchronisation, the caller sees it in the norm.
        """
        gradients = [(p, p.grad) for p in self.parameters if p.grad is not None]
        values = [grad._values() if grad.is_sparse else grad for _, grad in gradients]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values)))
        scale = (self.clip / norm).clamp_(max=1)
        if norm.is_cuda:
            torch._foreach_mul_(values, scale * self._lr)
            torch._foreach_sub_([parameter for parameter, _ in gradients], values)
        elif norm.isfinite():
            for (parameter, grad), value in zip(gradients, values, strict=True):
                self._update(parameter, grad, value, float(scale))
        for parameter in self.parameters:
            parameter.grad = None
        return norm

    def _update(self, parameter: nn.Parameter, grad: Tensor, value: Tensor, scale: float) -> None:
        if grad.is_sparse and kernels.fits(parameter, value):
            add_rows(parameter, grad._indices()[0], value, -self.lr * scale)
        elif grad.is_sparse:
            parameter.index_add_(0, grad._indices()[0], value, alpha=-self.lr * scale)
        else:
            parameter.add_(value, alpha=-self.lr * scale)


class StackedClippedSGD:
    """`ClippedSGD` of R restarts, each clipped by the norm of its own whole gradient. Parameters are (R, ...)."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, clip: float) -> None:
        self.parameters = list(parameters)
        self.clip = clip

    @torch.no_grad()
    def norms(self) -> Tensor:
        """The norm (R,) of each restart's gradient, before the clip."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms: Tensor = torch.linalg.vector_norm(torch.stack([_norms(grad) for grad in gradients]), dim=0)
        return norms

    @torch.no_grad()
    def step(self, norms: Tensor, rates: Tensor) -> None:
        """Update the parameters with rates (R,), and forget their gradients, whose norms these are.

        A restart whose rate is 0 stays as it is, whatever its gradient.
        """
        scales = torch.where(rates > 0, (self.clip / norms).clamp(max=1) * rates, 0)
        for parameter in self.parameters:
            if parameter.grad is not None:
                self._update(parameter, parameter.grad, scales)
            parameter.grad = None

    def _update(self, parameter: nn.Parameter, grad: Tensor, scales: Tensor) -> None:
        if grad.is_sparse:
            restart, row = grad._indices()
            factors = scales[restart, None].to(grad.dtype)
            values = grad._values().mul_(factors)
            if not scales.all():
                values.masked_fill_(factors == 0, 0)  # what is not finite is so even times 0
            parameter.flatten(0, 1).index_add_(0, restart * parameter.shape[1] + row, values, alpha=-1)
        elif grad.is_cuda:
            factors = scales.view(-1, *[1] * (grad.dim() - 1)).to(grad.dtype)
            parameter.addcmul_(torch.where(factors > 0, grad, 0), factors, value=-1)
        else:
            for part, of_part, scale in zip(parameter, grad, scales.tolist(), strict=True):
                if scale:
                    part.add_(of_part, alpha=-scale)


def _norms(grad: Tensor) -> Tensor:
    """The norm (R,) of each restart's part of the gradient of a parameter (R, ...)."""
    if grad.is_sparse:
        squares: Tensor = torch.linalg.vector_norm(grad._values(), dim=1).square_()
        return squares.new_zeros(grad.shape[0]).index_add_(0, grad._indices()[0], squares).sqrt_()
    norms: Tensor = torch.linalg.vector_norm(grad, dim=tuple(range(1, grad.dim())))
    return norms


class MatrixClippedSGD:
    """p <- p - lr g min(1, clip / |g|) for each weight matrix on its own, and for each restart of it on its own.

    Parameters are (R, ...): R restarts, which have a learning rate each. Source: Sukhbaatar et al. 2015, section 4.2.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, clip: float) -> None:
        self.parameters = list(parameters)
        self.clip = clip

    @torch.no_grad()
    def step(self, lr: Tensor) -> None:
        """Update the parameters with rates `lr` (R, 1, 1), and forget their gradients."""
        for parameter in self.parameters:
            grad = parameter.grad
            assert grad is not None
            norm = torch.linalg.vector_norm(grad, dim=tuple(range(1, grad.dim())), keepdim=True)
            scale = (self.clip / norm).clamp_(max=1).mul_(lr.view(-1, *[1] * (grad.dim() - 1)))
            parameter.addcmul_(grad, scale, value=-1)
            parameter.grad = None
