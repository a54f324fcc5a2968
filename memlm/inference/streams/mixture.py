"""A weighted mixture of streams, and the best weights for a text.

K streams, L tokens read at once, T tokens in a text, V words.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm.evaluation.perplexity import TokenNats
from memlm.inference.streams.stream import Stream


class MixtureStream(Stream):
    """p is the weighted sum of the probabilities of K streams. The weights sum to 1."""

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

    def predict_next(self) -> Tensor:
        """Log-probabilities (V,)."""
        return self._mix([stream.predict_next() for stream in self.streams])

    def _mix(self, log_p: Sequence[Tensor]) -> Tensor:
        weights = self.log_weights.to(log_p[0].dtype)
        return torch.logsumexp(torch.stack([p + w for p, w in zip(log_p, weights, strict=True)]), dim=0)


def mixture_weights(nats: Sequence[TokenNats], *, tolerance: float = 1e-9) -> npt.NDArray[np.float64]:
    """The weights (K,) that maximise the likelihood of a text, from its nats (T,) under each of K streams.

    Expectation-maximisation finds the maximum, because the likelihood is concave in the weights. It stops when a step
    gains less than `tolerance` nats per token.
    """
    stacked = np.stack(nats)
    stacked = stacked[
        :, np.isfinite(stacked.min(axis=0))
    ]  # a token that is impossible for all of them does not matter
    p = np.exp(stacked.min(axis=0) - stacked)  # (K, T), relative to the best stream of each token, against underflow
    weights = np.full(len(p), 1 / len(p))
    before = -np.inf
    while True:
        mixed = weights @ p
        gain = float(np.log(mixed).mean())
        if gain - before < tolerance:
            return weights
        before = gain
        weights = weights * (p / mixed).mean(axis=1)
