"""The adaptive softmax of Grave, Joulin, Cissé, Grangier and Jégou 2017, https://arxiv.org/abs/1609.04309.

The vocabulary is split into the most frequent words, the shortlist, and J clusters of rarer and rarer words. Part 0
is a softmax over the shortlist and one entry per cluster. Part i is a softmax over the words of cluster i, 1 to J.
A word of the shortlist has p(word | h) of part 0. A word of a cluster has p(entry of the cluster | h) of part 0 times
p(word | cluster, h) of the cluster's part.

R targets (rows), D units, V words, J clusters, n classes of a part, d units of a part.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from memlm.errors import MemlmError
from memlm.models.layers import softmax
from memlm.models.layers.head import TrainableHead, accumulate, output_weight
from memlm.models.layers.products import linear, product

SHRINK = 4  # each cluster has this many times fewer units than the cluster before it [section 4.3]


class Part(NamedTuple):
    """The weights of one part, or their gradients, which have the same shapes.

    Weight (n, d); bias (n,) or None; projection (d, D) of the hidden states, or None if d is D.
    """

    weight: Tensor
    bias: Tensor | None
    projection: Tensor | None = None


class Routed(NamedTuple):
    """The targets of one cluster, 1 to J: their row numbers, and their ids counted from the cluster's first word."""

    cluster: int
    rows: Tensor
    targets: Tensor


class AdaptiveHead(TrainableHead):
    """Exact, normalised probabilities of all V words. A target costs only part 0 and the part of its own cluster.

    Word ids must be in order of falling frequency. `cutoffs` are the first ids of clusters 1 to J. Raises MemlmError
    if a cutoff is not in the vocabulary.
    """

    waits_for_device = True

    def __init__(self, vocabulary_size: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        if cutoffs[-1] >= vocabulary_size:
            raise MemlmError(
                f"cutoffs end at {cutoffs[-1]}; with {vocabulary_size} words in the vocabulary they must be below that"
            )
        self.cutoffs = tuple(cutoffs)
        self.clusters = list(pairwise((*cutoffs, vocabulary_size)))  # (first id, last id + 1)

    @abstractmethod
    def part(self, index: int) -> Part:
        """The weights of a part. The classes of part 0 are the words of the shortlist, then the clusters' entries."""

    @abstractmethod
    def add_gradient(self, index: int, grad: Part) -> None:
        """Add `grad` to the gradient of a part's weights."""

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """(R, D) -> (R, V), natural logarithms."""
        entries = softmax.log_probabilities(hidden, *self.part(0)[:2])
        pieces = [entries[:, : self.cutoffs[0]]]
        for index in range(1, len(self.clusters) + 1):
            weight, bias, projection = self.part(index)
            within = softmax.log_probabilities(_projected(hidden, projection), weight, bias)
            pieces.append(entries[:, self.cutoffs[0] + index - 1, None] + within)
        return torch.cat(pieces, dim=1)

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (R, D), (R,) -> (R,); differentiable."""
        entries, routed = self._route(targets)
        nats = softmax.nats(hidden, entries, *self.part(0)[:2])
        for index, rows, of in routed:
            weight, bias, projection = self.part(index)
            states = _projected(hidden[rows], projection)
            nats = nats.index_add(0, rows, softmax.nats(states, of, weight, bias))
        return nats

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (R,), and the gradient of their sum with respect to `hidden` (R, D).

        The weights of a cluster without targets get no gradient.
        """
        entries, routed = self._route(targets)
        nats, grad = self._backward_part(0, hidden, entries)
        for index, rows, of in routed:
            of_nats, of_rows = self._backward_part(index, hidden[rows], of)
            nats.index_add_(0, rows, of_nats)
            grad.index_add_(0, rows, of_rows)
        return nats, grad

    def _backward_part(self, index: int, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias, projection = self.part(index)
        found = softmax.gradients(_projected(rows, projection), targets, weight, bias, self.precision)
        if projection is None:
            self.add_gradient(index, Part(found.weight, found.bias))
            return found.nats, found.rows
        self.add_gradient(index, Part(found.weight, found.bias, product(found.rows.t(), rows)))
        return found.nats, product(found.rows, projection)

    def _route(self, targets: Tensor) -> tuple[Tensor, Iterator[Routed]]:
        """The targets' classes in part 0 (R,), and the clusters that have targets.

        The number of targets of each cluster decides the shapes of the products. On CUDA the host has to wait once to
        learn these numbers, so a step cannot be captured as a CUDA graph.
        """
        of_cluster = torch.zeros_like(targets)
        for cutoff in self.cutoffs:
            of_cluster += targets >= cutoff
        entries = torch.where(of_cluster == 0, targets, self.cutoffs[0] - 1 + of_cluster)
        numbers = torch.arange(len(self.cutoffs) + 1, device=targets.device)
        counts: list[int] = (of_cluster == numbers[:, None]).sum(dim=1).tolist()
        rows = torch.split(of_cluster.argsort(stable=True), counts)
        routed = (
            Routed(index, rows[index], targets[rows[index]] - first)
            for index, (first, _) in enumerate(self.clusters, start=1)
            if counts[index]
        )
        return entries, routed


class ReducedAdaptiveHead(AdaptiveHead):
    """The paper's adaptive softmax: cluster i projects the hidden states to D / 4^i units."""

    def __init__(self, vocabulary_size: int, units: int, cutoffs: Sequence[int], *, bias: bool) -> None:
        super().__init__(vocabulary_size, cutoffs)
        entries = cutoffs[0] + len(cutoffs)
        sizes = [entries, *(end - first for first, end in self.clusters)]
        widths = [units_of_part(units, index) for index in range(len(sizes))]
        self.weights = nn.ParameterList(map(output_weight, sizes, widths))
        self.biases = nn.ParameterList(torch.empty(size) for size in sizes if bias)
        self.projections = nn.ParameterList(torch.empty(width, units) for width in widths[1:])

    def part(self, index: int) -> Part:
        """Weight (n, D / 4^i), bias (n,) or None, projection (D / 4^i, D). Part 0 has D units and no projection."""
        bias = self.biases[index] if len(self.biases) else None
        return Part(self.weights[index], bias, self.projections[index - 1] if index else None)

    def add_gradient(self, index: int, grad: Part) -> None:
        """Add `grad` to the gradient of a part's weights."""
        for parameter, of in zip(self.part(index), grad, strict=True):
            if isinstance(parameter, nn.Parameter) and of is not None:
                accumulate(parameter, of)


class TiedAdaptiveHead(AdaptiveHead):
    """An adaptive softmax that shares another module's weight (V, D).

    Clusters are slices of that weight. They have all D units and no projection.
    """

    def __init__(self, weight: nn.Parameter, cutoffs: Sequence[int]) -> None:
        super().__init__(len(weight), cutoffs)
        self.weight = weight
        self.entries = nn.Parameter(weight.new_empty(len(cutoffs), weight.shape[1]))

    def part(self, index: int) -> Part:
        """Weight (n, D), without a bias."""
        if index:
            first, end = self.clusters[index - 1]
            return Part(self.weight[first:end], None)
        return Part(torch.cat([self.weight[: self.cutoffs[0]], self.entries]), None)

    def add_gradient(self, index: int, grad: Part) -> None:
        """Add `grad` to the gradient of a part's weights."""
        first, end = self.clusters[index - 1] if index else (0, self.cutoffs[0])
        if self.weight.grad is None:
            self.weight.grad = torch.zeros_like(self.weight)
        self.weight.grad[first:end] += grad.weight[: end - first]
        if not index:
            accumulate(self.entries, grad.weight[end:])


def units_of_part(units: int, index: int) -> int:
    """Number of units of a part: D for part 0, D / 4^i for cluster i, at least 1."""
    return max(1, int(units / SHRINK**index))


def _projected(rows: Tensor, projection: Tensor | None) -> Tensor:
    return rows if projection is None else linear(rows, projection)
