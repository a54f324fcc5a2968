"""The generated dataset `stories`, whose exact entropy is known.

A text depends on `Random.random()` and IEEE arithmetic alone, not on libm, so it is the same on every machine.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from memlm.data.stories.language import Shares, language
from memlm.data.vocabulary.words import EOS
from memlm.errors import MemlmError

DEFAULT_SEED = 1503
SPLIT_TOKENS: Mapping[str, int] = MappingProxyType({"train": 200_000, "valid": 20_000, "test": 20_000})
MIN_SPLIT_TOKENS = 10  # of the longest first line with its <eos>: a split has at least one line


@dataclass(frozen=True, kw_only=True)
class StorySplit:
    """One split: its lines, its number of tokens (with one `<eos>` per line) and its entropy in total nats."""

    lines: tuple[str, ...]
    tokens: int
    floor_nats: float

    @property
    def floor_perplexity(self) -> float:
        """exp(total nats / total tokens): the lowest perplexity that can be expected of any model."""
        return math.exp(self.floor_nats / self.tokens)


def _draw(shares: Shares, rng: random.Random) -> str:
    point = rng.random()
    for word, share in shares.items():
        point -= share
        if point < 0.0:
            return word
    return next(reversed(list(shares)))  # rounding left a rest


def _generate_split(rng: random.Random, limit: int) -> StorySplit:
    """Lines of the process, until the next one would exceed `limit` tokens."""
    lines: list[str] = []
    tokens, nats, whole_nats = 0, 0.0, 0.0
    process = language()
    shares = next(process)
    while True:
        line: list[str] = []
        while not line or line[-1] != EOS:
            word = _draw(shares, rng)
            nats -= math.log(shares[word])
            shares = process.send(word)
            line.append(word)
        if tokens + len(line) > limit:
            return StorySplit(lines=tuple(lines), tokens=tokens, floor_nats=whole_nats)
        lines.append(" ".join(line[:-1]))
        tokens += len(line)
        whole_nats = nats


def generate_stories(
    *, seed: int = DEFAULT_SEED, split_tokens: Mapping[str, int] = SPLIT_TOKENS
) -> dict[str, StorySplit]:
    """Independent splits by name, each with as many whole lines as fit into its number of tokens.

    The same seed gives the same text on every machine. A split depends on the seed, its name and its size alone.
    Raises MemlmError if a split is too small for its first line.
    """
    splits: dict[str, StorySplit] = {}
    for name, limit in split_tokens.items():
        if limit < MIN_SPLIT_TOKENS:
            raise MemlmError(f"split {name!r}: {limit} tokens is too few; give at least {MIN_SPLIT_TOKENS}")
        digest = hashlib.sha256(f"stories/{seed}/{name}".encode()).digest()
        splits[name] = _generate_split(random.Random(int.from_bytes(digest)), limit)
    return splits


def replay(lines: Iterable[str]) -> Iterator[tuple[str, Shares]]:
    """Each token of a text (with one `<eos>` per line) and its distribution, given all earlier tokens.

    Do not modify the distributions: the process reuses some of them. Raises MemlmError at the first token that is
    impossible in the language.
    """
    process = language()
    shares: Shares = next(process)
    for number, line in enumerate(lines, 1):
        words = line.split()
        for position, word in enumerate([*words, EOS], 1):
            if word not in shares or (word == EOS and position <= len(words)):
                expected = ", ".join(list(shares)[:4]) + (", ..." if len(shares) > 4 else "")
                raise MemlmError(f"line {number}, token {position}: found {word!r}, expected {expected}")
            yield word, shares
            shares = process.send(word)


def floor_nats(lines: Iterable[str]) -> float:
    """Total nats of a text of this language: the sum of -log p of each token, given all earlier ones.

    Raises MemlmError, with the line, if the text is not of this language.
    """
    nats = 0.0
    for word, shares in replay(lines):
        nats -= math.log(shares[word])
    return nats
