"""A training step as a CUDA graph: one call launches its hundreds of small kernels.

The models are small for a GPU, which would otherwise wait for the host to launch each kernel. A graph replays the
captured kernels on the same memory. A step must therefore depend only on its arguments and on tensors that stay in
place, and must not synchronise with the device.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import gc
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

WARM_UP = 3  # uncaptured steps of each shape, in which cuBLAS and cuDNN choose their kernels
State = tuple[Tensor, ...] | None  # carried from step to step by a recurrent model
Update = Callable[[Tensor, Tensor, State], State]


class _Graph(NamedTuple):
    arguments: tuple[Tensor, ...]  # read by each replay
    graph: torch.cuda.CUDAGraph
    state: State  # written by each replay


class CapturedUpdate:
    """`update(inputs, targets, state)`, captured once for each combination of shapes that occurs often.

    The next call with the same shapes overwrites the returned state.
    """

    def __init__(self, update: Update) -> None:
        self._update = update
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._graphs: dict[tuple[torch.Size, ...], _Graph] = {}
        self._pool = torch.cuda.graph_pool_handle()  # graphs never run at the same time, so they can share memory

    def __call__(self, inputs: Tensor, targets: Tensor, state: State) -> State:
        """Run one update and return the new state."""
        arguments = (inputs, targets, *(state or ()))
        shapes = tuple(argument.shape for argument in arguments)
        self._seen[shapes] += 1
        if self._seen[shapes] <= WARM_UP:
            return self._update(inputs, targets, state)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._capture(arguments)
        captured = self._graphs[shapes]
        for static, argument in zip(captured.arguments, arguments, strict=True):
            static.copy_(argument)
        captured.graph.replay()
        return captured.state

    def _capture(self, arguments: tuple[Tensor, ...]) -> _Graph:
        """Record the kernels of an update without running them."""
        inputs, targets, *state = static = tuple(argument.clone() for argument in arguments)
        gc.collect()  # an unused graph must not be freed during the capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            carried = self._update(inputs, targets, tuple(state) or None)
        return _Graph(static, graph, carried)
