"""Generate text: draw it from a model, token by token.

V tokens in the vocabulary.
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

MAX_TOKENS_PER_WORD = 100  # on average: a model may never end a word


class DrawnToken(NamedTuple):
    """One drawn token."""

    token: str  # in the vocabulary: a word, a piece or a character
    log_probability: float  # natural, under the model: before temperature, top_k and top_p
    text: str  # what it adds to the text

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the token, its natural log-probability, and the text that it adds."""
        return self._asdict()


@dataclass(frozen=True, kw_only=True, repr=False)
class DrawnText:
    """A generated text with its prompt."""

    seed: int
    prompt: str
    tokens: Sequence[DrawnToken]

    def __repr__(self) -> str:
        return f"<drawn text of {len(self.tokens)} tokens, seed {self.seed}: {self.text[:40]!r}>"

    @property
    def text(self) -> str:
        """The generated text, without the prompt."""
        return "".join(token.text for token in self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm generate --json` prints. `words` has an `<eos>` for the end of each line."""
        return {
            "seed": self.seed,
            "prompt": self.prompt,
            "text": self.text,
            "words": split_words(self.text),
            "log_probability": sum(token.log_probability for token in self.tokens),
        }


def generate(
    stream: Stream, vocabulary: Vocabulary, prompt: Tokens, sampling: Sampling, *, seed: int
) -> Iterator[DrawnToken]:
    """Continue a prompt. Yields each token as it is drawn, until `sampling.words` words are complete.

    If tokens are parts of words, the first tokens may continue the last word of the prompt.
    """
    generator = torch.Generator().manual_seed(seed)
    for block in blocks(prompt, stream.device):
        stream.nats(block)
    drawn, again = tee(_draw_tokens(stream, vocabulary, prompt[-1:], sampling, generator))
    begins_line = not len(prompt) or int(prompt[-1]) == vocabulary.eos
    texts = vocabulary.spelling((token for token, _ in again), begins_line=begins_line)
    for (token, log_p), text in zip(drawn, texts, strict=False):
        yield DrawnToken(vocabulary.words[token], log_p, text)


def _draw_tokens(
    stream: Stream, vocabulary: Vocabulary, before: Tokens, sampling: Sampling, generator: torch.Generator
) -> Iterator[tuple[int, float]]:
    """Yield token ids with their log-probabilities. `before` is the last token of the prompt, or empty."""
    never, words = None if sampling.unknown else vocabulary.unk, 0
    for _ in range(sampling.words * (1 if vocabulary.is_of_words else MAX_TOKENS_PER_WORD)):
        log_p = stream.predict_next().double().cpu()
        token = draw_token(log_p, sampling, generator, never=never)
        before = np.append(before, np.int32(token))[-2:]
        words += vocabulary.word_starts(before)[-1]
        if words > sampling.words:
            return
        yield token, float(log_p[token])
        stream.nats(torch.tensor([token], device=stream.device))


def draw_token(log_p: Tensor, sampling: Sampling, generator: torch.Generator, *, never: int | None = None) -> int:
    """Draw a token id from log-probabilities (V,). The id `never` is not drawn, unless it is the only one."""
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
    p[0] = p[0].clamp_min(torch.finfo(p.dtype).tiny)  # the likeliest token is never cut off
    return int(order[torch.multinomial(p, 1, generator=generator)])
