"""Settings of a text: how it is split and what its tokens are; table [data] of config.toml."""

import dataclasses
import re
from fractions import Fraction
from typing import Self

from memlm.config.settings import Settings, setting
from memlm.errors import MemlmError

UNITS = {"words": "word", "sentencepiece": "piece", "characters": "character"}  # what a token is, by the tokenizer
PIECES_SIZE = 8000  # sentencepiece's own default


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """How a text becomes tokens."""

    level: str = setting("word", "word: split at white space; char: split into characters", choices=("word", "char"))
    tokenizer: str = setting(
        "words",
        "words: each word is a token; sentencepiece: word pieces, learned from the training split",
        choices=("words", "sentencepiece"),
    )
    pieces: str = setting("unigram", "how sentencepiece learns its pieces", choices=("unigram", "bpe"))
    vocab_size: int | None = setting(
        None,
        f"size of the vocabulary, at most, with <eos> and <unk>: the most frequent words; not given: all, or "
        f"{PIECES_SIZE} pieces",
        low=3,
        below=2**31,
    )
    min_count: int | None = setting(
        None,
        "words that are rarer than this in the training split become <unk>; not given: 11 for text8, else 1",
        low=1,
        below=2**31,
    )
    lowercase: bool = setting(False, "convert the text to lower case")
    split: str | None = setting(
        None, "shares of train, valid and test, for a dataset that is one file; not given: 90,5,5"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level == "char" and self.tokenizer == "sentencepiece":
            raise MemlmError("level is char, which tokenizer sentencepiece does not fit: pieces are of words")
        if self.tokenizer != "sentencepiece" and self.pieces != "unigram":
            raise MemlmError(f"pieces is {self.pieces}, which only tokenizer sentencepiece has")
        if self.tokenizer == "sentencepiece" and (self.min_count or 1) != 1:
            raise MemlmError(
                f"min_count is {self.min_count}, which does not fit tokenizer sentencepiece: give vocab_size"
            )
        if self.split is not None:
            shares_of(self.split)

    @property
    def keeps_all(self) -> bool:
        """Whether the training split keeps every word as it is, so that the known entropy of the text applies."""
        all_kept = self.tokenizer == "sentencepiece" or (self.vocab_size, self.min_count or 1) == (None, 1)
        return all_kept and not self.lowercase

    def resolved(self) -> Self:
        """A copy in which every setting has its final value, except what the dataset decides."""
        if self.tokenizer == "sentencepiece" and self.vocab_size is None:
            return dataclasses.replace(self, vocab_size=PIECES_SIZE)
        return self


def shares_of(split: str) -> tuple[Fraction, Fraction, Fraction]:
    """The shares of train, valid and test from text such as `90,5,5`, scaled so that they add up to 1."""
    parts = split.split(",")
    shares = [Fraction(part) for part in parts if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", part, re.ASCII)]
    if len(parts) != 3 or len(shares) != 3 or 0 in shares:
        raise MemlmError(f"split is {split!r}; it must be the shares of train, valid and test, as 90,5,5")
    train, valid, test = shares
    total = sum(shares)
    return train / total, valid / total, test / total
