"""The core: a memory's gradients, empty slots, and what a hop does. The whole model is in models/test_memn2n.py."""

import pytest
import torch
from torch import Tensor

from memlm.models.layers.memory import Hops, SlidingWindows, Stories, attend

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


@pytest.mark.parametrize("straight", [None, [False, True]])
@pytest.mark.parametrize("null", [False, True])
def test_gradients_of_stories_agree_with_finite_differences(
    straight: list[bool] | None, null: bool, generator: torch.Generator
):
    R, B, S, P = 2, 3, 4, 6
    places = torch.randint(P, (R, B, 2, S), generator=generator)
    places[0, 0, 0] = 1  # a sentence that is told more than once
    filled = torch.rand(R, B, S, generator=generator) < 0.7
    filled[:, :, -1] = True
    rows = None if straight is None else torch.tensor(straight)[:, None, None]

    def run(u: Tensor, transition: Tensor, *tables: Tensor) -> Tensor:
        memories = [Stories(table, places) for table in tables]
        return Hops(memories, [(0, 1), (1, 0), (0, 0)], transition, 2, filled, null, rows)(u)[0]

    tables = [draw(generator, R, P, D) for _ in range(2)]
    assert torch.autograd.gradcheck(run, (draw(generator, R, B, D), draw(generator, R, D, D), *tables))


def test_a_hop_can_look_at_nothing():
    scores = torch.tensor([[1.0, 2.0, 3.0]])
    filled = torch.tensor([[False, True, True]])
    weights = attend(scores.clone(), filled, null=True)
    exps = scores.exp()[0]
    torch.testing.assert_close(weights[0, 1:], exps[1:] / (exps[1:].sum() + 1))
    assert weights[0, 0] == 0


def test_rows_of_a_linear_start_take_their_scores_as_weights():
    scores = torch.tensor([[[-1.0, 2.0, 3.0]], [[-1.0, 2.0, 3.0]]])
    filled = torch.tensor([[[True, False, True]]] * 2)
    weights = attend(scores.clone(), filled, linear_start=torch.tensor([True, False])[:, None, None])
    assert weights[0].tolist() == [[-1.0, 0.0, 3.0]]
    torch.testing.assert_close(weights[1], attend(scores[1].clone(), filled[1]))


def test_a_hop_is_linear_on_the_first_units_only():
    memory = SlidingWindows(torch.zeros(1, 1, 4), None, 1)
    u = torch.tensor([[[-1.0, 1.0, -1.0, 1.0]]])
    states, (weights,) = Hops([memory], [(0, 0)], 2 * torch.eye(4), 2, None)(u)
    assert states.tolist() == [[[-2.0, 2.0, 0.0, 2.0]]]
    assert weights.tolist() == [[[1.0]]]
