"""SGD whose gradient is clipped by the norm over the model, a restart, or a matrix."""

import pytest
import torch
from torch import nn

from memlm.models.layers.embedding import embed
from memlm.training.optim import ClippedSGD


def make(generator: torch.Generator) -> tuple[nn.Parameter, nn.Parameter]:
    dense, rows = (nn.Parameter(torch.randn(6, 3, generator=generator)) for _ in range(2))
    loss = (dense**2).sum() + (embed(torch.tensor([1, 4, 1]), [rows])[0] ** 2).sum()
    loss.backward()
    return dense, rows


def made(parameters: list[nn.Parameter], clip: float) -> ClippedSGD:
    optimizer = ClippedSGD(parameters, clip=clip)
    optimizer.set_rates([0.1])
    return optimizer


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_the_whole_gradient_is_clipped_at_once(clip: float, generator: torch.Generator):
    dense, rows = make(generator)
    assert dense.grad is not None
    assert rows.grad is not None
    before = [dense.detach().clone(), rows.detach().clone()]
    grads = [dense.grad.clone(), rows.grad.to_dense()]
    norm = torch.cat([grad.flatten() for grad in grads]).norm()

    optimizer = made([dense, rows], clip)
    returned = optimizer.norms()
    optimizer.step(returned)

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
    optimizer = made([dense, rows], 1.0)
    norm = optimizer.norms()
    assert norm.isnan()
    optimizer.step(norm)
    assert torch.equal(dense, before[0])
    assert torch.equal(rows, before[1])


def test_each_matrix_of_each_restart_is_clipped_on_its_own():
    small, large = nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2, 5))
    small.grad, large.grad = torch.ones(2, 3, 4), torch.full((2, 5), 100.0)
    small.grad[1] *= 50
    optimizer = ClippedSGD([small, large], clip=40.0, over="matrix", restarts=2)
    optimizer.set_rates([0.5, 0.25])
    optimizer.step()
    assert small.grad is None
    small, large = small.detach(), large.detach()
    assert torch.equal(small[0], torch.full((3, 4), -0.5))  # norm 3.5: as it is
    assert float(small[1].norm()) == pytest.approx(0.25 * 40)
    assert float(large[0].norm()) == pytest.approx(0.5 * 40)
    assert float(large[1].norm()) == pytest.approx(0.25 * 40)


def test_each_restart_is_clipped_by_its_own_norm_and_one_that_is_left_out_stays(generator: torch.Generator):
    parameters = [nn.Parameter(torch.zeros(3, 2, 2)), nn.Parameter(torch.zeros(3, 4))]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        parameter.grad[2] = torch.nan
    grads = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
    optimizer = ClippedSGD(parameters, clip=1.0, over="restart", restarts=3)
    optimizer.set_rates([0.1, 0.2, 0.3])
    norms = optimizer.norms()
    optimizer.step(norms, where=norms.isfinite())
    for restart, rate in ((0, 0.1), (1, 0.2)):
        whole = torch.cat([grad[restart].flatten() for grad in grads])
        ours = torch.cat([parameter[restart].detach().flatten() for parameter in parameters])
        torch.testing.assert_close(ours, -rate * whole * min(1.0, 1.0 / float(whole.norm())))
    assert all(not parameter[2].any() for parameter in parameters)
