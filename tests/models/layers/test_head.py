"""The output layer: one-pass gradients equal autograd's, probabilities sum to one."""

import pytest
import torch
from torch import nn

from memlm.models.layers.head import SoftmaxHead, output_weight


@pytest.mark.parametrize("by_columns", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_one_pass_equals_autograd(bias: bool, by_columns: bool, generator: torch.Generator):
    weight = nn.Parameter(torch.randn(11, 4, generator=generator, dtype=torch.float64))
    if by_columns:
        weight = nn.Parameter(weight.detach().t().contiguous().t())
    head = SoftmaxHead(weight, bias=bias)
    if head.bias is not None:
        nn.init.normal_(head.bias, generator=generator)
    hidden = torch.randn(9, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(11, (9,), generator=generator)
    nats = head.nats(hidden, targets)
    parameters = list(head.parameters())
    grad_hidden, *grads = torch.autograd.grad(nats.sum(), [hidden, *parameters])

    for twice in (1, 2):  # a second pass adds to the first one's gradients
        our_nats, our_grad = head.backward(hidden.detach(), targets)
        torch.testing.assert_close(our_nats, nats)
        torch.testing.assert_close(our_grad, grad_hidden)
        for parameter, grad in zip(parameters, grads, strict=True):
            torch.testing.assert_close(parameter.grad, twice * grad)


def test_bfloat16_products_are_close_to_float32_ones(generator: torch.Generator):
    head = SoftmaxHead(output_weight(200, 16), bias=False)
    nn.init.normal_(head.weight, std=0.3, generator=generator)
    hidden = torch.randn(64, 16, generator=generator)
    targets = torch.randint(200, (64,), generator=generator)
    results: list[tuple[torch.Tensor, ...]] = []
    for precision in (torch.float32, torch.bfloat16):
        head.precision, head.weight.grad = precision, None
        nats, grad_hidden = head.backward(hidden, targets)
        assert head.weight.grad is not None
        results.append((nats, grad_hidden, head.weight.grad))
    for exact, low in zip(*results, strict=True):
        assert low.dtype == torch.float32
        assert 0 < (low - exact).norm() / exact.norm() < 0.01


def test_probabilities_sum_to_one_for_extreme_states(generator: torch.Generator):
    head = SoftmaxHead(nn.Parameter(torch.randn(50, 4, generator=generator)), bias=False)
    hidden = 100 * torch.randn(20, 4, generator=generator)
    log_p = head.log_probabilities(hidden)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(20), atol=1e-5, rtol=0)
    targets = torch.randint(50, (20,), generator=generator)
    torch.testing.assert_close(head.nats(hidden, targets), -log_p.gather(1, targets[:, None]).squeeze(1))
    torch.testing.assert_close(head.backward(hidden, targets)[0], head.nats(hidden, targets))
