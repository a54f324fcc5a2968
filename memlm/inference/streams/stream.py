"""Predict the next token of a text, given all tokens that were read before.

L tokens read at once, C words of context, D units, V words.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from memlm.data.batches import EMPTY
from memlm.data.corpus.reading import Tokens
from memlm.evaluation.perplexity import CHUNK_LENGTH, TARGETS_AT_ONCE, TokenNats
from memlm.models.base import LanguageModel, State


class Stream(ABC):
    """A predictor that reads a text: a model, a model with a cache or dynamic evaluation, or a mixture.

    Tokens are int64 tensors on the stream's device, with one token or more. The predictions do not depend on how many
    tokens are read at once, except for rounding.
    """

    device: torch.device

    @abstractmethod
    def read(self, tokens: Tensor) -> Tensor:
        """Read tokens (L,). Returns the log-probabilities (L, V) at their places, given all tokens before each."""

    @abstractmethod
    def nats(self, tokens: Tensor) -> Tensor:
        """Read tokens (L,). Returns -log p (L,) of each, given all tokens before it. Less work than `read`."""

    @abstractmethod
    def predict_next(self) -> Tensor:
        """Log-probabilities (V,) of the next token. Reads nothing."""


class ModelStream(Stream):
    """The stream of a trained model alone."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model.eval()
        self.device = model.device
        self.context = torch.full((model.context_size,), EMPTY, device=self.device)
        self.state: State = None

    def parts(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Read tokens (L,). Yields hidden states (L', D) with the tokens (L',) that they predict, part by part.

        Use each part before you ask for the next one: the model may change in between.
        """
        if len(tokens):
            yield self._advance(tokens), tokens

    @torch.no_grad()
    def read(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (L, V)."""
        pieces = [self.model.head.log_probabilities(hidden) for hidden, _ in self.parts(tokens)]
        return torch.cat(pieces)

    @torch.no_grad()
    def nats(self, tokens: Tensor) -> Tensor:
        """-log p (L,)."""
        return torch.cat([self.model.head.nats(hidden, part) for hidden, part in self.parts(tokens)])

    @torch.no_grad()
    def predict_next(self) -> Tensor:
        """Log-probabilities (V,)."""
        return self.model.head.log_probabilities(self.next_hidden())[0]

    @torch.no_grad()
    def next_hidden(self) -> Tensor:
        """The hidden state (1, D) for the prediction of the next token."""
        hidden: Tensor = self.model(self.context[None], self.state)[0][0]
        return hidden

    @torch.no_grad()
    def _advance(self, tokens: Tensor) -> Tensor:
        text = torch.cat([self.context, tokens])
        hidden, self.state = hidden_states(self.model, text, self.state)
        self.context = text[len(tokens) :]
        return hidden


def hidden_states(model: LanguageModel, text: Tensor, state: State) -> tuple[Tensor, State]:
    """Hidden states (L, D) for the last L tokens of `text` (C+L,), and the state after them."""
    C = model.context_size
    if model.carries_state:
        hidden, state = model(text[None, :-1], state)
        return hidden[0], state
    whole = (
        (len(text) - C) // CHUNK_LENGTH * CHUNK_LENGTH
    )  # tokens in whole chunks: the targets of a chunk share words
    pieces = []
    if whole:
        chunks = text[: C + whole - 1].unfold(0, C + CHUNK_LENGTH - 1, CHUNK_LENGTH)
        pieces.append(model(chunks)[0].flatten(0, 1))
    if whole < len(text) - C:
        pieces.append(model(text[None, whole:-1])[0][0])
    return torch.cat(pieces), None


def blocks(tokens: Tokens, device: torch.device, *, size: int = TARGETS_AT_ONCE) -> Iterator[Tensor]:
    """The tokens of a text as tensors for a stream, `size` tokens at a time."""
    for at in range(0, len(tokens), size):
        yield torch.from_numpy(tokens[at : at + size].astype(np.int64)).to(device)


def stream_nats(stream: Stream, tokens: Tokens, *, size: int = TARGETS_AT_ONCE) -> Iterator[TokenNats]:
    """-log p of the tokens of a text, `size` tokens at a time."""
    for block in blocks(tokens, stream.device, size=size):
        yield stream.nats(block).double().cpu().numpy()
