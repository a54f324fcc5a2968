"""The core: a memory's gradients, empty slots, and what a hop does. tests/test_memn2n.py has the whole model."""

import torch
from torch import Tensor

from memlm.models.memory import Hops, SlidingWindows, attend

D = 5


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_gradients_agree_with_finite_differences(generator: torch.Generator):
    N, L = 3, 2

    def run(u: Tensor, transition: Tensor, *tensors: Tensor) -> Tensor:
        memories = [SlidingWindows(tensors[i], tensors[i + 1], N) for i in (0, 2)]
        state, _ = Hops(memories, [(0, 1), (1, 0), (0, 0)], transition, 2, None)(u)
        return state

    tensors = [draw(generator, *shape) for shape in ((2, L + N - 1, D), (N, D), (2, L + N - 1, D), (N, D))]
    assert torch.autograd.gradcheck(run, (draw(generator, 2, L, D), draw(generator, D, D), *tensors))


def test_an_empty_slot_has_no_weight_and_an_empty_memory_reads_as_nothing():
    scores = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    filled = torch.tensor([[False, True, True], [False, False, False]])
    weights = attend(scores.clone(), filled)
    torch.testing.assert_close(weights[0, 1:], torch.softmax(scores[0, 1:], 0))
    assert weights[0, 0] == 0
    assert weights[1].tolist() == [0, 0, 0]


def test_a_hop_is_linear_on_the_first_units_only():
    memory = SlidingWindows(torch.zeros(1, 1, 4), None, 1)
    u = torch.tensor([[[-1.0, 1.0, -1.0, 1.0]]])
    states, (weights,) = Hops([memory], [(0, 0)], 2 * torch.eye(4), 2, None)(u)
    assert states.tolist() == [[[-2.0, 2.0, 0.0, 2.0]]]
    assert weights.tolist() == [[[1.0]]]
