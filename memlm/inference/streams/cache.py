"""A continuous cache of past hidden states, for any model that has hidden states.

L tokens read at once, S tokens in the store, D units, V words.
Source: Grave, Joulin, Usunier 2017, https://arxiv.org/abs/1612.04426.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from memlm.config.settings import Settings, setting
from memlm.inference.streams.stream import ModelStream, Stream
from memlm.models.layers.memory import attend


@dataclass(frozen=True, kw_only=True)
class CacheWeights(Settings):
    """p = (1 - weight) p_model + weight p_cache.

    p_cache of a word is the sum of softmax_i(theta h . h_i) over the earlier places i of that word.
    """

    theta: float = setting(0.1, "sharpness of the cache; 0: all places count the same", low=0)
    weight: float = setting(0.1, "weight of the cache in the mixture", low=0, below=1)
    window: int = setting(2000, "words in the cache", low=1)


class Store:
    """The last `window` hidden states, and the tokens that came after them."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.hidden: Tensor | None = None  # (S, D)
        self.tokens: Tensor | None = None  # (S,)

    def similarity(self, hidden: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Similarity h . h_i of L states (L, D) to the stored states and to each other.

        Returns the similarity (L, S + L), which places each state may use (L, S + L), and the tokens (S + L,). Then
        stores the states with their `tokens` (L,). Without `tokens`, stores nothing and uses only the stored states:
        S places instead of S + L.
        """
        stored = hidden.new_empty(0, hidden.shape[1]) if self.hidden is None else self.hidden
        known = torch.empty(0, dtype=torch.int64, device=hidden.device) if self.tokens is None else self.tokens
        S, L = len(known), len(hidden)
        if tokens is not None:
            stored, known = torch.cat([stored, hidden]), torch.cat([known, tokens])
            self.hidden, self.tokens = stored[-self.window :], known[-self.window :]
        place = torch.arange(len(known), device=hidden.device)
        here = S + torch.arange(L, device=hidden.device)[:, None]
        return hidden @ stored.t(), (place < here) & (place >= here - self.window), known


def cache_probabilities(similarity: Tensor, visible: Tensor, theta: float) -> Tensor:
    """The weight of each place in the cache, (L, S + L). A row without visible places is all 0."""
    return attend(similarity * theta, visible)


class CacheStream(Stream):
    """The stream of a model, mixed with a cache of its hidden states. While the cache is empty, the model alone."""

    def __init__(self, inner: ModelStream, weights: CacheWeights) -> None:
        self.inner = inner
        self.device = inner.device
        self.weights = weights
        self.store = Store(weights.window)

    @torch.no_grad()
    def read(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (L, V)."""
        return torch.cat([self._distribution(hidden, part) for hidden, part in self.inner.parts(tokens)])

    @torch.no_grad()
    def nats(self, tokens: Tensor) -> Tensor:
        """-log p (L,)."""
        pieces = []
        for hidden, part in self.inner.parts(tokens):
            nats = self.inner.model.head.nats(hidden, part)
            similarity, visible, known = self.store.similarity(hidden, part)
            p = cache_probabilities(similarity, visible, self.weights.theta)
            pieces.append(-self._mix(-nats, target_probabilities(p, known, part), visible.any(dim=1)))
        return torch.cat(pieces)

    @torch.no_grad()
    def predict_next(self) -> Tensor:
        """Log-probabilities (V,)."""
        return self._distribution(self.inner.next_hidden(), None)[0]

    def _distribution(self, hidden: Tensor, tokens: Tensor | None) -> Tensor:
        log_p = self.inner.model.head.log_probabilities(hidden)
        similarity, visible, known = self.store.similarity(hidden, tokens)
        p = cache_probabilities(similarity, visible, self.weights.theta)
        of_words = torch.zeros_like(log_p).scatter_add_(1, known.expand(len(p), -1), p.to(log_p.dtype))
        return self._mix(log_p, of_words, visible.any(dim=1, keepdim=True))

    def _mix(self, log_p: Tensor, cached: Tensor, filled: Tensor) -> Tensor:
        weight = torch.tensor(self.weights.weight, dtype=log_p.dtype, device=log_p.device)
        mixed = torch.logaddexp(log_p + torch.log1p(-weight), (weight * cached).log())
        return torch.where(filled, mixed, log_p)


def target_probabilities(p: Tensor, known: Tensor, tokens: Tensor) -> Tensor:
    """The cache's probability (L,) of tokens (L,): the sum of weights `p` (L, S) where `known` (S,) is the token."""
    return (p * (known == tokens[:, None])).sum(dim=1)
