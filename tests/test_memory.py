"""The core: sliding windows equal gathered ones to float64 rounding, and hops do what they say."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from memlm.models.memory import SlidingWindows, attend, hop, windows_filled
from tests.per_window import GatheredWindows

K, D = 3, 5


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def run_hops(kind: Any, tensors: dict[str, Tensor], *, layerwise: bool, slots: int, filled: Tensor | None) -> Tensor:
    count = 2 if layerwise else K + 1
    memories = [kind(tensors[f"words{i}"], tensors.get(f"times{i}"), slots) for i in range(count)]
    pairs = [(memories[0], memories[1])] * K if layerwise else list(pairwise(memories))
    states, _ = hop(tensors["u"], pairs, filled=filled, transition=tensors.get("transition"), linear=2)
    return states


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("layerwise", [True, False])
@pytest.mark.parametrize(("B", "L", "N"), [(2, 4, 3), (3, 1, 6), (1, 7, 1)])
def test_sliding_windows_equal_gathered_ones(
    generator: torch.Generator, layerwise: bool, times: bool, B: int, L: int, N: int
):
    tensors = {f"words{i}": draw(generator, B, L + N - 1, D) for i in range(K + 1)} | {"u": draw(generator, B, L, D)}
    if times:
        tensors |= {f"times{i}": draw(generator, N, D) for i in range(K + 1)}
    if layerwise:
        tensors["transition"] = draw(generator, D, D)
    slots_filled = torch.ones(B, L + N - 1, dtype=torch.bool)
    slots_filled[0, :2] = False
    filled = windows_filled(slots_filled, N)
    weight = draw(generator, B, L, D).detach()

    results = []
    for kind in (SlidingWindows, GatheredWindows):
        states = run_hops(kind, tensors, layerwise=layerwise, slots=N, filled=filled)
        grads = torch.autograd.grad((states * weight).sum(), list(tensors.values()), allow_unused=True)
        results.append([states, *grads])

    for ours, reference in zip(*results, strict=True):
        assert (ours is None) == (reference is None)
        if ours is not None:
            torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


def test_gradients_agree_with_finite_differences(generator: torch.Generator):
    N, L = 3, 2
    tensors = {
        "u": draw(generator, 1, L, D),
        "words": draw(generator, 1, L + N - 1, D),
        "times": draw(generator, N, D),
    }

    def match(u: Tensor, words: Tensor, times: Tensor) -> Tensor:
        return SlidingWindows(words, times, N).match(u)

    def read(p: Tensor, words: Tensor, times: Tensor) -> Tensor:
        return SlidingWindows(words, times, N).read(p)

    assert torch.autograd.gradcheck(match, tuple(tensors.values()))
    assert torch.autograd.gradcheck(read, (draw(generator, 1, L, N), tensors["words"], tensors["times"]))


def test_an_empty_slot_has_no_weight_and_an_empty_memory_reads_as_nothing():
    scores = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    filled = torch.tensor([[False, True, True], [False, False, False]])
    weights = attend(scores, filled)
    torch.testing.assert_close(weights[0, 1:], torch.softmax(scores[0, 1:], 0))
    assert weights[0, 0] == 0
    assert weights[1].tolist() == [0, 0, 0]


def test_a_hop_is_linear_on_the_first_units_only():
    words = torch.zeros(1, 1, 4)
    memory = SlidingWindows(words, None, 1)
    u = torch.tensor([[[-1.0, 1.0, -1.0, 1.0]]])
    states, (weights,) = hop(u, [(memory, memory)], filled=None, transition=2 * torch.eye(4), linear=2)
    assert states.tolist() == [[[-2.0, 2.0, 0.0, 2.0]]]
    assert weights.tolist() == [[[1.0]]]
