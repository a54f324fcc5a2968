"""Perplexity of a text under a model: each token is scored once, and the total nats are divided by their number.

T tokens in the text, B rows, L targets per row, N memory slots, R restarts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm.config.settings import PROTOCOLS
from memlm.data.batches import consecutive, gather, streams
from memlm.data.corpus.reading import Places, Tokens
from memlm.errors import MemlmError, unknown_name
from memlm.evaluation.inputs import to_tensors
from memlm.models.base import LanguageModel, State

TARGETS_AT_ONCE = 512  # if each target has a distribution over all words
SCORED_AT_ONCE, CUDA_SCORED_AT_ONCE = 2048, 4096  # if only the losses are kept: fewer calls
CHUNK_LENGTH = 32  # targets per row for a memory model: rows share enough words, and the skewed view wastes little
FACEBOOK_BATCH = 128  # the reference code rounds the number of scored targets up to whole batches of this size

TokenNats = npt.NDArray[np.float64]
Tick = Callable[[int, int], object]  # progress: how much is done, and of how much


@dataclass(frozen=True, kw_only=True)
class Score:
    """The number of scored tokens, and the sum of their nats."""

    tokens: int
    nats: float

    @property
    def nats_per_token(self) -> float:
        """Mean nats per token. Learning rate decay depends on this loss."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats / tokens), or infinity if that overflows."""
        return perplexity(self.nats, self.tokens)


def perplexity(nats: float, tokens: float) -> float:
    """exp(nats / tokens), or infinity if that overflows."""
    return math.inf if nats / tokens > 700 else math.exp(nats / tokens)


@torch.no_grad()
def token_nats(
    model: LanguageModel,
    tokens: Tokens,
    *,
    targets_at_once: int | None = None,
    tick: Tick = lambda done, total: None,
) -> TokenNats:
    """-log p of each token of the text, given the tokens before it: (T,), or (R, T) for R restarts.

    The result does not depend on `targets_at_once`, except for rounding: slots before the start of the text are
    empty, and a model that carries state reads the text as one stream. `tick(done, total)` is called before each
    batch, with the numbers of tokens. If it raises an exception, scoring stops.
    """
    device = model.device
    model.eval()
    targets_at_once = targets_at_once or (CUDA_SCORED_AT_ONCE if device.type == "cuda" else SCORED_AT_ONCE)
    if model.carries_state:
        spans = streams(len(tokens), targets_at_once, rows=1)
    else:
        length = min(targets_at_once, CHUNK_LENGTH)
        spans = consecutive(len(tokens), length, rows=targets_at_once // length)
    state: State = None
    pieces: list[Tensor] = []
    done = 0
    for span in spans:
        tick(done, len(tokens))
        inputs, targets = to_tensors(gather(tokens, span, model.context_size), device)
        nats, state = model.nats(inputs, targets, state)
        pieces.append(nats.flatten(-2))
        done += pieces[-1].shape[-1]
    return torch.cat(pieces, dim=-1).double().cpu().numpy()


def check_protocol(protocol: str, *, tokens: int, memory_size: int | None) -> None:
    """Raise MemlmError for an unknown protocol, or one that does not fit the model or the text.

    `tokens` is the length of the text. `memory_size` is None for a model without a memory.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    if protocol == "exact":
        return
    if memory_size is None:
        raise MemlmError("the facebook protocol depends on the memory size, but this model has no memory: use exact")
    if tokens <= memory_size + 1:
        raise MemlmError(f"the facebook protocol needs more than {memory_size + 1} tokens, not {tokens}: use exact")


def scored_tokens(tokens: int, *, protocol: str = "exact", memory_size: int | None = None) -> Places:
    """Indices of the tokens that a protocol scores, in a text of `tokens` tokens.

    `exact` scores each token once. `facebook` does as the reference code: it skips the first memory_size + 1 tokens.
    It scores ceil(T / 128) whole batches, and starts again after the skipped tokens to fill the last one: so it counts
    some tokens twice. Raises MemlmError as `check_protocol` does.
    """
    check_protocol(protocol, tokens=tokens, memory_size=memory_size)
    if protocol == "exact" or memory_size is None:
        return np.arange(tokens)
    count = -(-tokens // FACEBOOK_BATCH) * FACEBOOK_BATCH
    return np.resize(np.arange(memory_size + 1, tokens), count)  # repeats from the start where count is larger


def total(nats: TokenNats, *, protocol: str = "exact", memory_size: int | None = None) -> Score:
    """The sum of per-token nats (T,) over the tokens that a protocol scores."""
    places = scored_tokens(len(nats), protocol=protocol, memory_size=memory_size)
    return Score(tokens=len(places), nats=float(nats[places].sum()))


def evaluate(model: LanguageModel, tokens: Tokens, *, protocol: str = "exact") -> Score:
    """The score of a text under a model."""
    return total(token_nats(model, tokens), protocol=protocol, memory_size=model.memory_size)
