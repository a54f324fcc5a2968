"""Score a text word by word: log-probability, rank, and whether the word is in the vocabulary."""

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
    """A token that is a part of a word: a piece or a character."""

    token: str
    log_probability: float  # natural; that of <unk>, if the token is not in the vocabulary
    rank: int  # 1 + the number of tokens that were likelier
    oov: bool


@dataclass(frozen=True, kw_only=True)
class ScoredToken:
    """A word as it is in the text, or the `<eos>` of a line.

    If the tokens of the model are not words, the word has `parts` and no rank. The log-probabilities of the parts add
    up to that of the word.
    """

    word: str
    log_probability: float  # natural; that of <unk>, if the word is not in the vocabulary
    rank: int | None  # 1 + the number of words that were likelier
    oov: bool
    parts: Sequence[Part] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm score --json` prints for a word, without the number of its sentence."""
        return asdict(self) | {"parts": [part._asdict() for part in self.parts]}


@dataclass(kw_only=True)
class Sums:
    """Counts and log-probabilities of a sentence or a text. If words have parts, the tokens are the parts."""

    words: int = 0
    tokens: int = 0
    oov: int = 0
    log_probability: float = 0.0
    log_probability_without_oov: float = 0.0

    def add(self, words: Iterable[ScoredToken]) -> None:
        """Add words to the sums."""
        for word in words:
            self.words += 1
            for token in word.parts or (word,):
                self.tokens += 1
                self.oov += token.oov
                self.log_probability += token.log_probability
                self.log_probability_without_oov += 0.0 if token.oov else token.log_probability

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm score --json` prints for a sentence or the text, without its number."""
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
        """Perplexity per token."""
        return perplexity(-self.log_probability, self.tokens)

    @property
    def word_perplexity(self) -> float:
        """Perplexity per word, with all tokens."""
        return perplexity(-self.log_probability, self.words)

    @property
    def perplexity_without_oov(self) -> float:
        """Perplexity per token, only of tokens that are in the vocabulary. `<eos>` is one of them."""
        return perplexity(-self.log_probability_without_oov, self.tokens - self.oov)


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoredSentence:
    """The scored words of a line, with its `<eos>`."""

    tokens: list[ScoredToken]
    sums: Sums = field(default_factory=Sums)

    def __post_init__(self) -> None:
        self.sums.add(self.tokens)

    def __repr__(self) -> str:
        return f"<scored sentence of {self.sums.words} words, log-probability {self.sums.log_probability:.4f}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the words under `scores`, and the sums."""
        return {"scores": [token.to_dict() for token in self.tokens]} | self.sums.to_dict()


def score_lines(stream: Stream, vocabulary: Vocabulary, lines: Iterable[str]) -> Iterator[ScoredSentence]:
    """Score each line and its `<eos>`, given all lines before it."""
    for line in lines:
        words = line.split()
        text = encode([words], vocabulary)
        parts = list(_parts(stream, vocabulary, text))
        starts = np.flatnonzero(vocabulary.word_starts(text.tokens)).tolist()
        known = [word in vocabulary for word in words] + [True]
        yield ScoredSentence(
            tokens=[
                _scored_token(word, parts[start:end], oov=not is_known, words_are_tokens=vocabulary.is_of_words)
                for word, start, end, is_known in zip(
                    [*words, EOS], starts, [*starts[1:], len(parts)], known, strict=True
                )
            ]
        )


def _parts(stream: Stream, vocabulary: Vocabulary, text: EncodedText) -> Iterator[Part]:
    """Score each token."""
    unknown = set(text.unknown.tolist())
    index = count()
    for block in blocks(text.tokens, stream.device):
        rows = stream.read(block)
        log_p = rows.gather(1, block[:, None])
        ranks = 1 + (rows > log_p).sum(dim=1)
        for token, log_probability, rank in zip(
            block.tolist(), log_p.squeeze(1).tolist(), ranks.tolist(), strict=True
        ):
            yield Part(vocabulary.words[token], log_probability, rank, oov=next(index) in unknown)


def _scored_token(word: str, parts: Sequence[Part], *, oov: bool, words_are_tokens: bool) -> ScoredToken:
    log_p = sum(part.log_probability for part in parts)
    if words_are_tokens:
        return ScoredToken(word=word, log_probability=log_p, rank=parts[0].rank, oov=oov)
    return ScoredToken(word=word, log_probability=log_p, rank=None, oov=oov, parts=parts)


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file as they are read. Raises MemlmError if one is not text, or if there are none."""
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
