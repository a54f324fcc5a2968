"""When an update is captured and when replayed, with CUDA graphs that only count (real ones: whole/test_cuda.py)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from memlm.kernels.cuda_graph import WARM_UP, CapturedUpdate, State


class Graph:
    """Counts its replays."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    made: list[Graph] = []

    def make() -> Graph:
        made.append(Graph())
        return made[-1]

    @contextmanager
    def recording(graph: Graph, pool: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    return made


class Update:
    """Notes what it is called with; its state is twice the inputs."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, inputs: Tensor, targets: Tensor, state: State) -> State:
        self.seen.append(inputs)
        return (2 * inputs,) if state is not None else None


def test_each_shape_is_run_a_few_times_then_captured_once_and_replayed(graphs: list[Graph]):
    update = Update()
    captured = CapturedUpdate(update)
    for size in (2, 3):
        batches = [torch.full((size,), float(number)) for number in range(WARM_UP + 3)]
        update.seen.clear()
        for inputs in batches:
            captured(inputs, inputs, None)
        assert all(seen is given for seen, given in zip(update.seen, batches[:WARM_UP], strict=False))
        assert len(update.seen) == WARM_UP + 1  # and once while it was captured
        assert update.seen[-1] is not batches[WARM_UP]
        assert torch.equal(update.seen[-1], batches[-1])  # a replay reads a copy of what is given
    assert [graph.replays for graph in graphs] == [3, 3]


def test_the_state_is_part_of_the_shape_and_is_handed_on(graphs: list[Graph]):
    captured, ones = CapturedUpdate(Update()), torch.ones(2)
    for _ in range(WARM_UP):
        assert captured(ones, ones, None) is None
    for _ in range(WARM_UP):
        state = captured(ones, ones, (ones,))
    assert graphs == []
    first, second = captured(ones, ones, state), captured(ones, ones, state)
    assert first is not None
    assert second is not None
    assert first[0] is second[0]  # the next call overwrites it
    assert captured(ones, ones, None) is None
    assert [graph.replays for graph in graphs] == [2, 1]
