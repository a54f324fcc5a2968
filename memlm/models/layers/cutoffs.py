"""Chooses the cutoffs of an adaptive softmax: those with the fastest training step on this machine.

The cost of a cluster is a function of its number of words and its expected number of targets. The function is fitted
to a few measurements, as in section 4 of Grave et al. 2017, https://arxiv.org/abs/1609.04309.

B targets per step, D units, V words, P measurements, F terms of the cost.
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
from memlm.models.layers.adaptive import units_of_part
from memlm.models.layers.head import output_weight

MAX_CLUSTERS = 4
# Least share of the targets in the shortlist, if clusters have fewer units. The time alone would choose a shortlist of
# too few words.
MIN_SHORTLIST = 0.8
MIN_UNITS = 8  # of a cluster: with fewer units it can hardly distinguish its words
CANDIDATES = 48  # number of ids that are tried as cutoffs
FIRST_CANDIDATE = 16
WORDS = (256, 1024, 4096, 16384)  # numbers of words that a softmax is measured with
MAX_PRODUCT = 2e8  # multiplications in one measured product: all measurements together should take less than a second
ROUNDS = 4  # the measurements take turns, so that other work of the machine does not slow down only one of them

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Cost = Callable[[float, float], float]  # (words, targets) -> seconds, for hidden states of D units


def resolved(config: Config, counts: Callable[[], Counts], device: torch.device) -> Config:
    """The settings, with cutoffs filled in if they have an adaptive softmax without cutoffs.

    `counts` returns how often each word occurs in the training text (V,). It is called only if it is needed.
    """
    model = config.model
    if not isinstance(model, NeuralSettings) or model.softmax != "adaptive" or model.cutoffs:
        return config
    found = find(model, config.train, counts(), device)
    return dataclasses.replace(config, model=dataclasses.replace(model, cutoffs=found))


def find(model: NeuralSettings, train: TrainConfig, counts: Counts, device: torch.device) -> str:
    """The setting `cutoffs` for a model that is trained on this machine, on a text with these counts (V,) of ids."""
    cost = measure_cost(model.units, train.batch_size, device, choose_precision(train.precision, device))
    if model.ties_output:
        found = cheapest(counts, train.batch_size, cost, max_clusters=MAX_CLUSTERS)
    else:
        wide = [n for n in range(1, MAX_CLUSTERS + 1) if units_of_part(model.units, n) >= MIN_UNITS]
        most = max(wide, default=1)
        found = cheapest(counts, train.batch_size, cost, max_clusters=most, min_shortlist=MIN_SHORTLIST)
    return ",".join(map(str, found))


def cheapest(
    counts: Counts, batch_size: int, cost: Cost, *, max_clusters: int, min_shortlist: float = 0.0
) -> tuple[int, ...]:
    """The cutoffs of 1 to `max_clusters` clusters with the fastest step of `batch_size` targets.

    `counts` (V,) is how often each id occurs. The shortlist gets at least the share `min_shortlist` of the counted
    words. The cost assumes that all parts have all units, as in the paper: otherwise the cheap projections of the
    clusters would draw more words into them.
    """
    V = len(counts)
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])  # share of the targets with lower ids
    candidates = np.unique(np.geomspace(min(FIRST_CANDIDATE, V - 1), V - 1, CANDIDATES).astype(int)).tolist()
    min_shortlist = min(min_shortlist, float(below[candidates[-1]]))

    @cache
    def cluster(first: int, end: int) -> float:
        """Expected seconds for a cluster of the words `first` to `end` - 1. Without a target it costs nothing."""
        targets = max(batch_size * float(below[end] - below[first]), 1e-9)
        used = -math.expm1(-targets)  # probability that it has a target
        return used * cost(end - first, targets / used)

    @cache
    def tail(first: int, clusters: int) -> tuple[float, tuple[int, ...]]:
        """The cheapest split of the words from `first` on into clusters: its seconds, and its inner cutoffs."""
        if clusters == 1:
            return cluster(first, V), ()
        ways = [(cluster(first, end), end, *tail(end, clusters - 1)) for end in candidates if end > first]
        return min(((own + rest, (end, *more)) for own, end, rest, more in ways), default=(math.inf, ()))

    ways = [
        (cost(first + n, batch_size) + tail(first, n)[0], (first, *tail(first, n)[1]))
        for first in candidates
        if below[first] >= min_shortlist
        for n in range(1, max_clusters + 1)
    ]
    return min(ways)[1]


def measure_cost(units: int, batch_size: int, device: torch.device, precision: torch.dtype) -> Cost:
    """The cost of a softmax in training (loss, gradients and update), fitted to measurements on this machine."""
    rows = sorted({max(1, batch_size // share) for share in (1, 4, 16, 64)})
    points = [(words, targets) for words in WORDS for targets in rows if words * targets * units <= MAX_PRODUCT]
    points = points or [(WORDS[0], rows[0])]
    passes = [_softmax_pass(*point, units, device, precision) for point in points]
    seconds = np.array([[_seconds(once, device) for once in passes] for _ in range(ROUNDS)])[1:].min(axis=0)
    weights = fit_cost(np.array([_terms(*point) for point in points]) / seconds[:, None])
    return lambda words, targets: float(weights @ _terms(words, targets))


def _terms(words: float, targets: float) -> Floats:
    """The terms (F,) of a softmax's time: its calls, the update of its weights, and the work on its logits."""
    return np.array([1.0, words, targets * words])


def fit_cost(terms: Floats) -> Floats:
    """Non-negative least squares: the weights (F,) with which the terms (P, F) add up to 1 most closely."""
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
    """A function that computes the loss and gradients of a softmax and updates its weight."""
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
