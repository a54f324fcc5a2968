"""A weighted mixture of predictors, and the weights that fit a text best."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm.evaluation.perplexity import TokenNats
from memlm.inference.streams.stream import Stream


class MixtureStream(Stream):
    """p = the sum over K streams of weight times p; the weights sum to 1."""

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float]) -> None:
        self.streams = list(streams)
        self.device = self.streams[0].device
        self.log_weights = torch.tensor(weights, dtype=torch.float64, device=self.device).log()

    def read(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (L, V)."""
        return self._mix([stream.read(tokens) for stream in self.streams])

    def nats(self, tokens: Tensor) -> Tensor:
        """-log p (L,)."""
        return -self._mix([-stream.nats(tokens) for stream in self.streams])

    def ahead(self) -> Tensor:
        """Log-probabilities (V,)."""
        return self._mix([stream.ahead() for stream in self.streams])

    def _mix(self, log_p: Sequence[Tensor]) -> Tensor:
        weights = self.log_weights.to(log_p[0].dtype)
        return torch.logsumexp(torch.stack([p + w for p, w in zip(log_p, weights, strict=True)]), dim=0)


def fit_weights(nats: Sequence[TokenNats], *, tolerance: float = 1e-9) -> npt.NDArray[np.float64]:
    """The mixture weights (K,) under which a text is likeliest, from its nats (T,) under each of K predictors.

    By expectation-maximisation, which can't miss: the likelihood is concave in the weights. Stops when a step gains
    less than `tolerance` nats per token.
    """
    stacked = np.stack(nats)
    stacked = stacked[:, np.isfinite(stacked.min(axis=0))]  # what all hold for impossible tells them not apart
    p = np.exp(stacked.min(axis=0) - stacked)  # (K, T), relative to the best of each token: none underflows
    weights = np.full(len(p), 1 / len(p))
    before = -np.inf
    while True:
        mixed = weights @ p
        gain = float(np.log(mixed).mean())
        if gain - before < tolerance:
            return weights
        before = gain
        weights = weights * (p / mixed).mean(axis=1)
