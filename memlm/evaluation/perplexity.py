"""Perplexity of a text under a model: every token scored exactly once, total nats over total count.

T tokens in the text, B rows, L targets in a row, N memory slots.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from memlm.config.settings import PROTOCOLS
from memlm.data.batches import consecutive, gather, streams
from memlm.data.corpus.reading import Places, Tokens
from memlm.errors import MemlmError, unknown_name
from memlm.evaluation.inputs import to_tensors
from memlm.models.base import LanguageModel, State

TARGETS_AT_ONCE = 512  # where each has a distribution over all words
SCORED_AT_ONCE, CUDA_SCORED_AT_ONCE = 2048, 4096  # where their losses alone are kept: fewer calls
CHUNK_LENGTH = 32  # of a memory model: long enough to share words, short enough to waste little on the skew
FACEBOOK_BATCH = 128  # the reference code rounds the number of scored targets up to whole batches of this size

TokenNats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Score:
    """`tokens` scored, with `nats` in total."""

    tokens: int
    nats: float

    @property
    def nats_per_token(self) -> float:
        """Mean nats a token, the cost that annealing looks at."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of the mean; infinite where that overflows."""
        return perplexity(self.nats, self.tokens)


def perplexity(nats: float, tokens: float) -> float:
    """exp(nats / tokens); infinite where that overflows."""
    return math.inf if nats / tokens > 700 else math.exp(nats / tokens)


def usual_targets_at_once(device: torch.device) -> int:
    """How many targets `token_nats` scores at a time."""
    return CUDA_SCORED_AT_ONCE if device.type == "cuda" else SCORED_AT_ONCE


@torch.no_grad()
def token_nats(
    model: LanguageModel,
    tokens: Tokens,
    *,
    targets_at_once: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> TokenNats:
    """-log p of every token of the text given those before it: (T,), in order; (R, T) of R restarts.

    The result does not depend on `targets_at_once` (but for rounding): slots before the start of the text are
    empty, and a model that carries state reads the text as one stream. `tick` is called before each batch; what it
    raises ends the work.
    """
    device = model.device
    model.eval()
    targets_at_once = targets_at_once or usual_targets_at_once(device)
    if model.carries_state:
        spans = streams(len(tokens), targets_at_once, rows=1)
    else:
        length = min(targets_at_once, CHUNK_LENGTH)
        spans = consecutive(len(tokens), length, rows=targets_at_once // length)
    state: State = None
    pieces = []
    for span in spans:
        tick()
        inputs, targets = to_tensors(gather(tokens, span, model.context_size), device)
        nats, state = model.nats(inputs, targets, state)
        pieces.append(nats.flatten(-2))
    return torch.cat(pieces, dim=-1).double().cpu().numpy()


def check_protocol(protocol: str, *, tokens: int, memory_size: int | None) -> None:
    """Refuse a protocol that is not known, or that a model or a text does not fit."""
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    if protocol == "exact":
        return
    if memory_size is None:
        raise MemlmError("the facebook protocol is defined by the size of a memory, which this model lacks: use exact")
    if tokens <= memory_size + 1:
        raise MemlmError(f"the facebook protocol needs more than {memory_size + 1} tokens, not {tokens}: use exact")


def scored(tokens: int, *, protocol: str = "exact", memory_size: int | None = None) -> Places:
    """Places of the tokens that a protocol scores: each token once (`exact`), or as the reference code (`facebook`).

    That never scores the first memory_size + 1 tokens, goes on from there again to fill the last of
    ceil(T / 128) batches, and so counts some tokens twice.
    """
    check_protocol(protocol, tokens=tokens, memory_size=memory_size)
    if protocol == "exact" or memory_size is None:
        return np.arange(tokens)
    count = -(-tokens // FACEBOOK_BATCH) * FACEBOOK_BATCH
    return np.resize(np.arange(memory_size + 1, tokens), count)  # repeats from the start where count is larger


def total(nats: TokenNats, *, protocol: str = "exact", memory_size: int | None = None) -> Score:
    """Sum of per-token nats (T,) over the tokens that a protocol scores."""
    places = scored(len(nats), protocol=protocol, memory_size=memory_size)
    return Score(tokens=len(places), nats=float(nats[places].sum()))


def evaluate(model: LanguageModel, tokens: Tokens, *, protocol: str = "exact") -> Score:
    """Score of a text under a model."""
    return total(token_nats(model, tokens), protocol=protocol, memory_size=model.memory_size)
