"""SGD with a global clip, and the annealing of the reference code."""

import pytest
import torch
from torch import nn

from memlm.config.training import TrainConfig
from memlm.models.layers.embedding import embed
from memlm.training.optim import ClippedSGD
from memlm.training.schedule import Annealing


def make(generator: torch.Generator) -> tuple[nn.Parameter, nn.Parameter]:
    dense, rows = (nn.Parameter(torch.randn(6, 3, generator=generator)) for _ in range(2))
    loss = (dense**2).sum() + (embed(torch.tensor([1, 4, 1]), [rows])[0] ** 2).sum()
    loss.backward()
    return dense, rows


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_the_whole_gradient_is_clipped_at_once(clip: float, generator: torch.Generator):
    dense, rows = make(generator)
    assert dense.grad is not None
    assert rows.grad is not None
    before = [dense.detach().clone(), rows.detach().clone()]
    grads = [dense.grad.clone(), rows.grad.to_dense()]
    norm = torch.cat([grad.flatten() for grad in grads]).norm()

    returned = ClippedSGD([dense, rows], lr=0.1, clip=clip).step()

    torch.testing.assert_close(returned, norm)
    for parameter, old, grad in zip((dense, rows), before, grads, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.1 * grad * min(1.0, clip / norm.item()))
        assert parameter.grad is None
    assert torch.equal(rows[[0, 2, 3, 5]], before[1][[0, 2, 3, 5]])


def test_a_gradient_that_is_not_finite_changes_nothing(generator: torch.Generator):
    dense, rows = make(generator)
    assert dense.grad is not None
    dense.grad[0, 0] = float("nan")
    before = [dense.detach().clone(), rows.detach().clone()]
    assert ClippedSGD([dense, rows], lr=0.1, clip=1).step().isnan()
    assert torch.equal(dense, before[0])
    assert torch.equal(rows, before[1])


def test_the_rate_is_annealed_against_the_previous_epoch_not_the_best():
    annealing = Annealing.from_config(TrainConfig(lr=1.0, anneal_factor=2))
    rates = []
    for epoch, cost in enumerate([5.0, 4.0, 6.0, 5.0, 4.9999, 4.0], 1):
        annealing.epoch_ended(epoch, cost)
        rates.append(annealing.lr)
    # 6 > 4: halved; 5 < 6 though above the best; 4.9999 is within 0.9999 of 5: halved
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_schedule_anneals_after_every_epoch_from_one_on():
    annealing = Annealing.from_config(TrainConfig(lr=1.0, anneal_factor=2, anneal_after=2))
    rates = []
    for epoch in (1, 2, 3):
        annealing.epoch_ended(epoch, 1.0 / epoch)
        rates.append(annealing.lr)
    assert rates == [1, 0.5, 0.25]
