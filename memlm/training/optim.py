"""Plain SGD on a summed loss, with the gradient clipped by its norm.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] its code,
https://github.com/facebookarchive/MemNN. R restarts.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from memlm import kernels
from memlm.kernels.rows import add_rows


class ClippedSGD:
    """p <- p - lr g min(1, clip / |g|).

    |g| is the norm of the gradient of the whole model [C], of each restart's whole model, or of each weight matrix of
    each restart ([P], section 4.2); in the last two cases parameters are (R, ...).

    Sparse gradients change only the rows they hold. They hold each row once, as models.layers.embedding makes them:
    to let PyTorch sort them would cost some percent of a step.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        clip: float,
        over: Literal["model", "restart", "matrix"] = "model",
        restarts: int = 1,
    ) -> None:
        self.parameters = list(parameters)
        self.clip = clip
        self.over = over
        self.rates = [0.0] * restarts
        of = self.parameters[0]
        dtype = torch.float64 if over == "restart" else of.dtype
        # A captured step reads the rates from here.
        self._rates = torch.zeros(() if over == "model" else restarts, dtype=dtype, device=of.device)

    def set_rates(self, rates: Sequence[float]) -> None:
        """The learning rate of each restart."""
        self.rates = list(rates)
        self._rates.copy_(torch.tensor(self.rates, dtype=self._rates.dtype).view_as(self._rates))

    @torch.no_grad()
    def norms(self) -> Tensor:
        """The norm of the whole gradient before the clip: (), or (R,) of each restart's."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.over == "model":
            values = [grad._values() if grad.is_sparse else grad for grad in gradients]
            norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values)))
            return norm
        norms: Tensor = torch.linalg.vector_norm(torch.stack([_norms(grad) for grad in gradients]), dim=0)
        return norms

    @torch.no_grad()
    def step(self, norms: Tensor | None = None, *, where: Tensor | None = None) -> None:
        """Update the parameters and clear their gradients. `norms` are the gradients' (not needed over a matrix).

        A restart does not change if its rate is 0 or `where` (R,) is False for it, whatever its gradient. For a whole
        model on a CPU, a gradient that is not finite changes nothing. On CUDA the check would cost a synchronisation:
        there the caller sees it in the norm.
        """
        if self.over == "matrix":
            self._step_matrices()
        else:
            assert norms is not None
            if self.over == "model":
                self._step_model(norms)
            else:
                self._step_restarts(norms, self._rates if where is None else torch.where(where, self._rates, 0))
        for parameter in self.parameters:
            parameter.grad = None

    def _step_model(self, norm: Tensor) -> None:
        gradients = [(p, p.grad) for p in self.parameters if p.grad is not None]
        values = [grad._values() if grad.is_sparse else grad for _, grad in gradients]
        scale = (self.clip / norm).clamp_(max=1)
        if norm.is_cuda:
            torch._foreach_mul_(values, scale * self._rates)
            torch._foreach_sub_([parameter for parameter, _ in gradients], values)
        elif norm.isfinite():
            for (parameter, grad), value in zip(gradients, values, strict=True):
                self._update(parameter, grad, value, float(scale))

    def _update(self, parameter: nn.Parameter, grad: Tensor, value: Tensor, scale: float) -> None:
        alpha = -self.rates[0] * scale
        if grad.is_sparse and kernels.fits(parameter, value):
            add_rows(parameter, grad._indices()[0], value, alpha)
        elif grad.is_sparse:
            parameter.index_add_(0, grad._indices()[0], value, alpha=alpha)
        else:
            parameter.add_(value, alpha=alpha)

    def _step_restarts(self, norms: Tensor, rates: Tensor) -> None:
        scales = torch.where(rates > 0, (self.clip / norms).clamp(max=1) * rates, 0)
        for parameter in self.parameters:
            if parameter.grad is not None:
                _update_restarts(parameter, parameter.grad, scales)

    def _step_matrices(self) -> None:
        for parameter in self.parameters:
            grad = parameter.grad
            assert grad is not None
            norm = torch.linalg.vector_norm(grad, dim=tuple(range(1, grad.dim())), keepdim=True)
            scale = (self.clip / norm).clamp_(max=1).mul_(self._rates.view(-1, *[1] * (grad.dim() - 1)))
            parameter.addcmul_(grad, scale, value=-1)


def _update_restarts(parameter: nn.Parameter, grad: Tensor, scales: Tensor) -> None:
    if grad.is_sparse:
        restart, row = grad._indices()
        factors = scales[restart, None].to(grad.dtype)
        values = grad._values().mul_(factors)
        if not scales.all():
            values.masked_fill_(factors == 0, 0)  # inf times 0 is not 0
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
