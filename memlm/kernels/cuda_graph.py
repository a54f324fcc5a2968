"""A training step as a CUDA graph: its hundreds of small kernels start with one call.

The models here are small against a GPU, which would otherwise wait for the host to start each kernel. A graph replays
what it captured on the same memory, so a step must be a function of its arguments and of tensors that stay in place,
and must not ask the device anything.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import gc
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

WARM_UP = 3  # steps of a shape that run as they are: cuBLAS and cuDNN choose their kernels in them
State = tuple[Tensor, ...] | None  # what a recurrent model carries from step to step
Update = Callable[[Tensor, Tensor, State], State]


class _Graph(NamedTuple):
    arguments: tuple[Tensor, ...]  # read by each replay
    graph: torch.cuda.CUDAGraph
    state: State  # written by each replay


class CapturedUpdate:
    """`update(inputs, targets, state)`, captured once for each shape of its arguments that comes often.

    The state that it returns is overwritten by the next call of the same shape.
    """

    def __init__(self, update: Update) -> None:
        self._update = update
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._graphs: dict[tuple[torch.Size, ...], _Graph] = {}
        self._pool = torch.cuda.graph_pool_handle()  # graphs follow each other: they can use the same memory

    def __call__(self, inputs: Tensor, targets: Tensor, state: State) -> State:
        """One update, and the state to carry on."""
        arguments = (inputs, targets, *(state or ()))
        shapes = tuple(argument.shape for argument in arguments)
        self._seen[shapes] += 1
        if self._seen[shapes] <= WARM_UP:
            return self._update(inputs, targets, state)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._capture(arguments)
        captured = self._graphs[shapes]
        for place, argument in zip(captured.arguments, arguments, strict=True):
            place.copy_(argument)
        captured.graph.replay()
        return captured.state

    def _capture(self, arguments: tuple[Tensor, ...]) -> _Graph:
        """Record the kernels of an update; none of them runs."""
        inputs, targets, *state = places = tuple(argument.clone() for argument in arguments)
        gc.collect()  # a graph that is no longer used must not be thrown away while this one is captured
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            carried = self._update(inputs, targets, tuple(state) or None)
        return _Graph(places, graph, carried)
