"""A text scored word by word: log-probability, rank, and whether the model knows the word.

L tokens of a line, V words.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from memlm.data.corpus import BOM, encode
from memlm.data.vocab import EOS, Vocabulary
from memlm.errors import MemlmError
from memlm.evaluate import perplexity
from memlm.streams import Stream, blocks


@dataclass(frozen=True, kw_only=True)
class ScoredToken:
    """A word as it stands in the text, or the `<eos>` of its line."""

    word: str
    log_probability: float  # natural; of <unk>, where the vocabulary does not hold the word
    rank: int  # 1 + the number of words that were likelier
    oov: bool


@dataclass(kw_only=True)
class Sums:
    """Of a sentence or of a text."""

    tokens: int = 0
    oov: int = 0
    log_probability: float = 0.0
    log_probability_without_oov: float = 0.0

    def add(self, tokens: Iterable[ScoredToken]) -> None:
        """Take tokens in."""
        for token in tokens:
            self.tokens += 1
            self.oov += token.oov
            self.log_probability += token.log_probability
            self.log_probability_without_oov += 0.0 if token.oov else token.log_probability

    @property
    def perplexity(self) -> float:
        """Of all tokens."""
        return perplexity(-self.log_probability, self.tokens)

    @property
    def perplexity_without_oov(self) -> float:
        """Of the tokens that the vocabulary holds, the `<eos>` among them."""
        return perplexity(-self.log_probability_without_oov, self.tokens - self.oov)


@dataclass(frozen=True, kw_only=True)
class ScoredSentence:
    """A line of the text."""

    tokens: list[ScoredToken]
    sums: Sums = field(default_factory=Sums)

    def __post_init__(self) -> None:
        self.sums.add(self.tokens)


def score_lines(stream: Stream, vocabulary: Vocabulary, lines: Iterable[str]) -> Iterator[ScoredSentence]:
    """Each line with the `<eos>` that ends it, given all the lines before it."""
    for line in lines:
        words = line.split()
        encoded = encode([words], vocabulary)
        log_p, ranks = [], []
        for block in blocks(encoded.tokens, stream.device):
            rows = stream.read(block)
            of_targets = rows.gather(1, block[:, None])
            log_p += of_targets.squeeze(1).tolist()
            ranks += (1 + (rows > of_targets).sum(dim=1)).tolist()
        known = [word in vocabulary for word in words] + [True]
        yield ScoredSentence(
            tokens=[
                ScoredToken(word=word, log_probability=p, rank=rank, oov=not is_known)
                for word, p, rank, is_known in zip([*words, EOS], log_p, ranks, known, strict=True)
            ]
        )


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
