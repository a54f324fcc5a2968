"""A text scored word by word: log-probability, rank, and whether the model knows the word.

L tokens of a line, V words.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from memlm.data.corpus.reading import BOM, EncodedText, encode
from memlm.data.vocabulary.words import EOS, Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import perplexity
from memlm.inference.streams.stream import Stream, blocks


class Part(NamedTuple):
    """A token that is a part of a word: a piece or a character, as the vocabulary has it."""

    token: str
    log_probability: float  # natural; of <unk>, where the vocabulary does not hold it
    rank: int  # 1 + the number of tokens that were likelier
    oov: bool


@dataclass(frozen=True, kw_only=True)
class ScoredToken:
    """A word as it stands in the text, or the `<eos>` of its line.

    Where the model's tokens are not words, the word has `parts`, whose log-probabilities add up to its own, and no
    rank of its own.
    """

    word: str
    log_probability: float  # natural; of <unk>, where the vocabulary does not hold the word
    rank: int | None  # 1 + the number of words that were likelier
    oov: bool
    parts: Sequence[Part] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm score --json` prints of a word, but for the number of its sentence."""
        return asdict(self) | {"parts": [part._asdict() for part in self.parts]}


@dataclass(kw_only=True)
class Sums:
    """Of a sentence or of a text, as in a passport: where words have parts, these are the tokens."""

    words: int = 0
    tokens: int = 0
    oov: int = 0
    log_probability: float = 0.0
    log_probability_without_oov: float = 0.0

    def add(self, words: Iterable[ScoredToken]) -> None:
        """Take words in."""
        for word in words:
            self.words += 1
            for token in word.parts or (word,):
                self.tokens += 1
                self.oov += token.oov
                self.log_probability += token.log_probability
                self.log_probability_without_oov += 0.0 if token.oov else token.log_probability

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm score --json` prints of a sentence or of the text, but for its number."""
        return {
            "words": self.words,
            "tokens": self.tokens,
            "oov": self.oov,
            "log_probability": self.log_probability,
            "perplexity": self.perplexity,
            "perplexity_without_oov": self.perplexity_without_oov if self.tokens > self.oov else None,
            "word_perplexity": self.word_perplexity,
        }

    @property
    def perplexity(self) -> float:
        """Of all tokens."""
        return perplexity(-self.log_probability, self.tokens)

    @property
    def word_perplexity(self) -> float:
        """Of all tokens, per word."""
        return perplexity(-self.log_probability, self.words)

    @property
    def perplexity_without_oov(self) -> float:
        """Of the tokens that the vocabulary holds, the `<eos>` among them."""
        return perplexity(-self.log_probability_without_oov, self.tokens - self.oov)


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoredSentence:
    """A line of the text."""

    tokens: list[ScoredToken]
    sums: Sums = field(default_factory=Sums)

    def __post_init__(self) -> None:
        self.sums.add(self.tokens)

    def __repr__(self) -> str:
        return f"<scored sentence of {self.sums.words} words, log-probability {self.sums.log_probability:.4f}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: its words under `scores`, and its sums."""
        return {"scores": [token.to_dict() for token in self.tokens]} | self.sums.to_dict()


def score_lines(stream: Stream, vocabulary: Vocabulary, lines: Iterable[str]) -> Iterator[ScoredSentence]:
    """Each line with the `<eos>` that ends it, given all the lines before it."""
    for line in lines:
        words = line.split()
        text = encode([words], vocabulary)
        parts = list(_parts(stream, vocabulary, text))
        starts = np.flatnonzero(vocabulary.word_starts(text.tokens)).tolist()
        known = [word in vocabulary for word in words] + [True]
        yield ScoredSentence(
            tokens=[
                _of_parts(word, parts[start:end], oov=not is_known, is_one=vocabulary.is_of_words)
                for word, start, end, is_known in zip(
                    [*words, EOS], starts, [*starts[1:], len(parts)], known, strict=True
                )
            ]
        )


def _parts(stream: Stream, vocabulary: Vocabulary, text: EncodedText) -> Iterator[Part]:
    """Each token scored."""
    unknown = set(text.unknown.tolist())
    place = count()
    for block in blocks(text.tokens, stream.device):
        rows = stream.read(block)
        log_p = rows.gather(1, block[:, None])
        ranks = 1 + (rows > log_p).sum(dim=1)
        for token, found, rank in zip(block.tolist(), log_p.squeeze(1).tolist(), ranks.tolist(), strict=True):
            yield Part(vocabulary.words[token], found, rank, oov=next(place) in unknown)


def _of_parts(word: str, parts: Sequence[Part], *, oov: bool, is_one: bool) -> ScoredToken:
    log_p = sum(part.log_probability for part in parts)
    if is_one:
        return ScoredToken(word=word, log_probability=log_p, rank=parts[0].rank, oov=oov)
    return ScoredToken(word=word, log_probability=log_p, rank=None, oov=oov, parts=parts)


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines of a UTF-8 file as they come; MemlmError for one that is not text, and for a file without any."""
    number = 0
    for number, line in enumerate(file, start=1):
        try:
            text = line.removeprefix(BOM if number == 1 else b"").decode()
        except UnicodeDecodeError as error:
            raise MemlmError(f"{name} is not UTF-8 text (line {number}, byte {error.start + 1})") from None
        if "\0" in text:
            raise MemlmError(f"{name} is not UTF-8 text: it holds a NUL (line {number}, byte {line.index(0) + 1})")
        yield text
    if not number:
        raise MemlmError(f"{name} is empty: there is nothing to score")
