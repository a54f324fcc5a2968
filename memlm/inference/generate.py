"""Text drawn from a model, token by token.

V tokens of the vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from memlm.config.sampling import Sampling
from memlm.data.corpus.reading import Tokens
from memlm.data.vocabulary.words import Vocabulary
from memlm.evaluation.attention import split_words
from memlm.inference.streams.stream import Stream, blocks

LONGEST = 100  # tokens per word on average: a model may never come to a word's end


class Drawn(NamedTuple):
    """A token as it was drawn."""

    token: str  # as the vocabulary has it: a word, a piece or a character
    log_probability: float  # that the model gave it, before its distribution was sharpened or cut
    text: str  # what it adds to the text

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the token, its natural log-probability and what it adds to the text."""
        return self._asdict()


@dataclass(frozen=True, kw_only=True, repr=False)
class DrawnText:
    """A whole text that was drawn, after its prompt."""

    seed: int
    prompt: str
    tokens: Sequence[Drawn]

    def __repr__(self) -> str:
        return f"<drawn text of {len(self.tokens)} tokens, seed {self.seed}: {self.text[:40]!r}>"

    @property
    def text(self) -> str:
        """What comes after the prompt."""
        return "".join(token.text for token in self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm generate --json` prints. Words have `<eos>` for the end of each line."""
        return {
            "seed": self.seed,
            "prompt": self.prompt,
            "text": self.text,
            "words": split_words(self.text),
            "log_probability": sum(token.log_probability for token in self.tokens),
        }


def generate(
    stream: Stream, vocabulary: Vocabulary, prompt: Tokens, sampling: Sampling, *, seed: int
) -> Iterator[Drawn]:
    """Tokens that go on from the prompt, as they are drawn, up to the last one of as many words as are asked for.

    Where tokens are parts of words, the first ones may go on with the prompt's last word.
    """
    generator = torch.Generator().manual_seed(seed)
    for block in blocks(prompt, stream.device):
        stream.nats(block)
    drawn, again = tee(_drawn(stream, vocabulary, prompt[-1:], sampling, generator))
    begins_line = not len(prompt) or int(prompt[-1]) == vocabulary.eos
    texts = vocabulary.spelling((token for token, _ in again), begins_line=begins_line)
    for (token, log_p), text in zip(drawn, texts, strict=False):
        yield Drawn(vocabulary.words[token], log_p, text)


def _drawn(
    stream: Stream, vocabulary: Vocabulary, before: Tokens, sampling: Sampling, generator: torch.Generator
) -> Iterator[tuple[int, float]]:
    """Ids with their log-probabilities; `before` is the last token of the prompt, if it has one."""
    never, words = None if sampling.unknown else vocabulary.unk, 0
    for _ in range(sampling.words * (1 if vocabulary.is_of_words else LONGEST)):
        log_p = stream.ahead().double().cpu()
        token = draw(log_p, sampling, generator, never=never)
        before = np.append(before, np.int32(token))[-2:]
        words += vocabulary.word_starts(before)[-1]
        if words > sampling.words:
            return
        yield token, float(log_p[token])
        stream.nats(torch.tensor([token], device=stream.device))


def draw(log_p: Tensor, sampling: Sampling, generator: torch.Generator, *, never: int | None = None) -> int:
    """An id drawn from log-probabilities (V,)."""
    if never is not None and len(log_p) > 1:
        log_p = log_p.clone()
        log_p[never] = -torch.inf
    if sampling.temperature == 0:
        return int(log_p.argmax())
    p, order = torch.softmax((log_p - log_p.max()) / sampling.temperature, dim=0).sort(descending=True, stable=True)
    if sampling.top_k:
        p[sampling.top_k :] = 0
    before = p.cumsum(0) - p
    p[before >= sampling.top_p * p.sum()] = 0
    p[0] = p[0].clamp_min(torch.finfo(p.dtype).tiny)  # the likeliest stays, whatever was cut
    return int(order[torch.multinomial(p, 1, generator=generator)])
