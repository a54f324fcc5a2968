"""Text drawn from a model, word by word.

V words.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from memlm.data.corpus import Tokens
from memlm.data.vocab import Vocabulary
from memlm.sampling import Sampling
from memlm.streams import Stream, blocks


def generate(
    stream: Stream, vocabulary: Vocabulary, prompt: Tokens, sampling: Sampling, *, seed: int
) -> Iterator[tuple[str, float]]:
    """Words that go on from the prompt, as they are drawn, `<eos>` among them, with the log-probability that the model
    gave each of them (before it was sharpened or cut).
    """
    generator = torch.Generator().manual_seed(seed)
    for block in blocks(prompt, stream.device):
        stream.nats(block)
    for _ in range(sampling.words):
        log_p = stream.ahead().double().cpu()
        word = draw(log_p, sampling, generator, never=None if sampling.unknown else vocabulary.unk)
        yield vocabulary.words[word], float(log_p[word])
        stream.nats(torch.tensor([word], device=stream.device))


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
