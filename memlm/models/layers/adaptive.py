"""The adaptive softmax of Grave, Joulin, Cissé, Grangier and Jégou 2017, https://arxiv.org/abs/1609.04309.

Words are cut into the most frequent ones, the shortlist, and J clusters of rarer and rarer ones:
p(word) = p(entry | h), of the shortlist's words and one entry a cluster, times p(word | cluster, h) in a cluster.

R targets (rows), D units, V words, J clusters.
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

SHRINK = 4  # each cluster has this many times fewer units than the one before [section 4.3]


class Part(NamedTuple):
    """A softmax over the n words of a cluster, or the entries of part 0; of its gradients, in the same shapes.

    Weight (n, d), bias (n,) or None, and projection (d, D) of hidden states, or None where d is D.
    """

    weight: Tensor
    bias: Tensor | None
    projection: Tensor | None = None


class Routed(NamedTuple):
    """The targets of one cluster, 1 to J: their places among the rows, and their ids from the cluster's first on."""

    cluster: int
    places: Tensor
    targets: Tensor


class AdaptiveHead(TrainableHead):
    """Exact, normalised probabilities of all V words; a target costs the shortlist and its own cluster.

    Words are in the order of their ids, which fall in frequency. `cutoffs` are the first ids of clusters 1 to J.
    """

    asks_device = True

    def __init__(self, vocabulary_size: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        if cutoffs[-1] >= vocabulary_size:
            raise MemlmError(
                f"cutoffs end at {cutoffs[-1]}; with {vocabulary_size} words in the vocabulary they must be below that"
            )
        self.cutoffs = tuple(cutoffs)
        self.clusters = list(pairwise((*cutoffs, vocabulary_size)))  # (first id, past the last one)

    @abstractmethod
    def part(self, index: int) -> Part:
        """The weights of part 0, of the shortlist's words and then the clusters' entries, or of cluster 1 to J."""

    @abstractmethod
    def take(self, index: int, grad: Part) -> None:
        """Add to the gradients of a part's weights."""

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
        for index, places, of in routed:
            weight, bias, projection = self.part(index)
            rows = _projected(hidden[places], projection)
            nats = nats.index_add(0, places, softmax.nats(rows, of, weight, bias))
        return nats

    @torch.no_grad()
    def backward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (R,), and the gradient of their sum with respect to `hidden` (R, D).

        A cluster without a target adds no gradient to its weights.
        """
        entries, routed = self._route(targets)
        nats, grad = self._backward_part(0, hidden, entries)
        for index, places, of in routed:
            of_nats, of_rows = self._backward_part(index, hidden[places], of)
            nats.index_add_(0, places, of_nats)
            grad.index_add_(0, places, of_rows)
        return nats, grad

    def _backward_part(self, index: int, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias, projection = self.part(index)
        found = softmax.gradients(_projected(rows, projection), targets, weight, bias, self.precision)
        if projection is None:
            self.take(index, Part(found.weight, found.bias))
            return found.nats, found.rows
        self.take(index, Part(found.weight, found.bias, product(found.rows.t(), rows)))
        return found.nats, product(found.rows, projection)

    def _route(self, targets: Tensor) -> tuple[Tensor, Iterator[Routed]]:
        """The targets' classes in part 0 (R,), and the clusters that have targets.

        How many targets each has decides the shapes of the products: on CUDA the host must wait once to know it, and
        a step can't be captured as a graph.
        """
        of_cluster = torch.zeros_like(targets)
        for cutoff in self.cutoffs:
            of_cluster += targets >= cutoff
        entries = torch.where(of_cluster == 0, targets, self.cutoffs[0] - 1 + of_cluster)
        numbers = torch.arange(len(self.cutoffs) + 1, device=targets.device)
        counts: list[int] = (of_cluster == numbers[:, None]).sum(dim=1).tolist()
        places = torch.split(of_cluster.argsort(stable=True), counts)
        routed = (
            Routed(index, places[index], targets[places[index]] - first)
            for index, (first, _) in enumerate(self.clusters, start=1)
            if counts[index]
        )
        return entries, routed


class ReducedAdaptiveHead(AdaptiveHead):
    """The paper's: cluster i is a softmax over projections of hidden states to D / 4^i units."""

    def __init__(self, vocabulary_size: int, units: int, cutoffs: Sequence[int], *, bias: bool) -> None:
        super().__init__(vocabulary_size, cutoffs)
        entries = cutoffs[0] + len(cutoffs)
        sizes = [entries, *(end - first for first, end in self.clusters)]
        widths = [reduced(units, index) for index in range(len(sizes))]
        self.weights = nn.ParameterList(map(output_weight, sizes, widths))
        self.biases = nn.ParameterList(torch.empty(size) for size in sizes if bias)
        self.projections = nn.ParameterList(torch.empty(width, units) for width in widths[1:])

    def part(self, index: int) -> Part:
        """Weight (n, D / 4^i), bias (n,) and projection (D / 4^i, D); part 0 has all D units and no projection."""
        bias = self.biases[index] if len(self.biases) else None
        return Part(self.weights[index], bias, self.projections[index - 1] if index else None)

    def take(self, index: int, grad: Part) -> None:
        """Add to the gradients of a part's weights."""
        for parameter, of in zip(self.part(index), grad, strict=True):
            if isinstance(parameter, nn.Parameter) and of is not None:
                accumulate(parameter, of)


class TiedAdaptiveHead(AdaptiveHead):
    """Over another module's weight (V, D): clusters are slices of it, at full width and without a projection."""

    def __init__(self, weight: nn.Parameter, cutoffs: Sequence[int]) -> None:
        super().__init__(len(weight), cutoffs)
        self.weight = weight
        self.entries = nn.Parameter(weight.new_empty(len(cutoffs), weight.shape[1]))

    def part(self, index: int) -> Part:
        """Weight (n, D)."""
        if index:
            first, end = self.clusters[index - 1]
            return Part(self.weight[first:end], None)
        return Part(torch.cat([self.weight[: self.cutoffs[0]], self.entries]), None)

    def take(self, index: int, grad: Part) -> None:
        """Add to the gradients of a part's weights."""
        first, end = self.clusters[index - 1] if index else (0, self.cutoffs[0])
        if self.weight.grad is None:
            self.weight.grad = torch.zeros_like(self.weight)
        self.weight.grad[first:end] += grad.weight[: end - first]
        if not index:
            accumulate(self.entries, grad.weight[end:])


def reduced(units: int, index: int) -> int:
    """Units of part `index`: D of the shortlist, D / 4^i of cluster i, at least 1."""
    return max(1, int(units / SHRINK**index))


def _projected(rows: Tensor, projection: Tensor | None) -> Tensor:
    return rows if projection is None else linear(rows, projection)
