"""Where the adaptive softmax is cut: the cut-offs at which a step of training takes the least time on this machine.

Section 4 of Grave et al. 2017, https://arxiv.org/abs/1609.04309: the cost of a cluster is a function of its words and
of the targets that it can expect, fitted to a few measurements.

B targets a step, D units, V words.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from memlm.config.models import NeuralSettings
from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.models.device import choose_precision
from memlm.models.layers import softmax
from memlm.models.layers.adaptive import reduced
from memlm.models.layers.head import output_weight

MOST_CLUSTERS = 4
SHORTLIST = 0.8  # of the targets, at least, where clusters have fewer units: time alone would leave it few words
FEWEST_UNITS = 8  # of a cluster: with fewer its words can hardly be told apart
PLACES = 48  # of cut-offs that are compared
FIRST_PLACE = 16
WORDS = (256, 1024, 4096, 16384)  # that a softmax is measured with
LARGEST_PRODUCT = 2e8  # multiplications of one product that is measured: all of it is to take less than a second
ROUNDS = 4  # in which all that is measured takes turns: what else the machine does is not to fall on one alone

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Cost = Callable[[float, float], float]  # words, targets -> seconds, at the units of the hidden states


def resolved(config: Config, counts: Callable[[], Counts], device: torch.device) -> Config:
    """A copy with cut-offs for an adaptive softmax that has none, from the counts (V,) of the training split."""
    model = config.model
    if not isinstance(model, NeuralSettings) or model.softmax != "adaptive" or model.cutoffs:
        return config
    found = find(model, config.train, counts(), device)
    return dataclasses.replace(config, model=dataclasses.replace(model, cutoffs=found))


def find(model: NeuralSettings, train: TrainConfig, counts: Counts, device: torch.device) -> str:
    """The setting `cutoffs` for a model that is trained on this machine on a text with these counts (V,) of ids."""
    cost = measure(model.units, train.batch_size, device, choose_precision(train.precision, device))
    if model.ties_output:
        found = choose(counts, train.batch_size, cost, most=MOST_CLUSTERS)
    else:
        wide = [n for n in range(1, MOST_CLUSTERS + 1) if reduced(model.units, n) >= FEWEST_UNITS]
        found = choose(counts, train.batch_size, cost, most=max(wide, default=1), shortlist=SHORTLIST)
    return ",".join(map(str, found))


def choose(counts: Counts, batch_size: int, cost: Cost, *, most: int, shortlist: float = 0.0) -> tuple[int, ...]:
    """The cut-offs of one to `most` clusters that make a step of `batch_size` targets the cheapest.

    `counts` (V,) are those of the ids. At least this share of the counted words is in the shortlist. All parts are
    held to have all units, as in the paper: what the clusters' projections save is no reason to have more in them.
    """
    V = len(counts)
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])  # share of the targets with lower ids
    places = np.unique(np.geomspace(min(FIRST_PLACE, V - 1), V - 1, PLACES).astype(int)).tolist()
    shortlist = min(shortlist, float(below[places[-1]]))

    @cache
    def cluster(first: int, end: int) -> float:
        """Expected seconds of words `first` to `end`: a cluster without a target costs nothing."""
        targets = max(batch_size * float(below[end] - below[first]), 1e-9)
        used = -math.expm1(-targets)  # that it has any
        return used * cost(end - first, targets / used)

    @cache
    def tail(first: int, clusters: int) -> tuple[float, tuple[int, ...]]:
        """The cheapest way to cut the words from `first` on into clusters."""
        if clusters == 1:
            return cluster(first, V), ()
        ways = [(cluster(first, end), end, *tail(end, clusters - 1)) for end in places if end > first]
        return min(((own + rest, (end, *more)) for own, end, rest, more in ways), default=(math.inf, ()))

    ways = [
        (cost(first + n, batch_size) + tail(first, n)[0], (first, *tail(first, n)[1]))
        for first in places
        if below[first] >= shortlist
        for n in range(1, most + 1)
    ]
    return min(ways)[1]


def measure(units: int, batch_size: int, device: torch.device, precision: torch.dtype) -> Cost:
    """The cost of a softmax in training, its loss, gradients and update, as a function fitted to this machine."""
    rows = sorted({max(1, batch_size // share) for share in (1, 4, 16, 64)})
    points = [(words, targets) for words in WORDS for targets in rows if words * targets * units <= LARGEST_PRODUCT]
    points = points or [(WORDS[0], rows[0])]
    passes = [_softmax_pass(*point, units, device, precision) for point in points]
    seconds = np.array([[_seconds(once, device) for once in passes] for _ in range(ROUNDS)])[1:].min(axis=0)
    weights = fit(np.array([_terms(*point) for point in points]) / seconds[:, None])
    return lambda words, targets: float(weights @ _terms(words, targets))


def _terms(words: float, targets: float) -> Floats:
    """What a softmax's time is a sum of: its calls, the update of its weights, and the work on its logits."""
    return np.array([1.0, words, targets * words])


def fit(terms: Floats) -> Floats:
    """Weights (F,), none of them negative, with which terms (P, F) add up to 1 as nearly as they can."""
    best, found = math.inf, np.zeros(terms.shape[1])
    numbers = range(terms.shape[1])
    for chosen in (list(some) for size in numbers for some in combinations(numbers, size + 1)):
        weights = np.linalg.lstsq(terms[:, chosen], np.ones(len(terms)), rcond=None)[0]
        error = float(np.square(terms[:, chosen] @ weights - 1).sum())
        if weights.min() >= 0 and error < best:
            best, found = error, np.zeros(terms.shape[1])
            found[chosen] = weights
    return found


def _softmax_pass(
    words: int, rows: int, units: int, device: torch.device, precision: torch.dtype
) -> Callable[[], None]:
    """The loss and gradients of a softmax, and the update of its weight."""
    weight = torch.zeros_like(output_weight(words, units), device=device)
    hidden, targets = torch.zeros(rows, units, device=device), torch.zeros(rows, dtype=torch.int64, device=device)

    @torch.no_grad()
    def once() -> None:
        grad = softmax.gradients(hidden, targets, weight, None, precision).weight
        weight.add_(grad, alpha=-1e-3 / (1 + float(torch.linalg.vector_norm(grad))))

    return once


def _seconds(once: Callable[[], None], device: torch.device) -> float:
    began = time.perf_counter()
    once()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
