"""A text as characters: those of its words, a space between words, `<eos>` at a line's end.

A character that training did not hold often enough is `<unk>`; a word `<unk>` that stands in a text is spelled out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from memlm.config.data import DataConfig
from memlm.data.vocabulary.words import EOS, UNK, Flags, Ids, Vocabulary, frequent
from memlm.errors import MemlmError

SPACE = " "
UNICODE_END = 0x110000


class CharacterVocabulary(Vocabulary):
    """Characters, the most frequent first, SPACE, `<eos>` and `<unk>` among them."""

    tokenizer = "characters"

    def __init__(self, characters: Sequence[str], *, lowercase: bool = False) -> None:
        super().__init__(characters, lowercase=lowercase)
        if SPACE not in self._ids or any(len(character) != 1 for character in {*characters} - {EOS, UNK}):
            raise MemlmError(f"{self.file} is damaged: it does not hold a character a line, and the space")
        self._id_of = np.full(UNICODE_END, -1, np.int32)  # by code point
        for i, character in enumerate(characters):
            if character not in (EOS, UNK):
                self._id_of[ord(character)] = i
        self._id_of[ord("\n")] = self.eos

    def __contains__(self, word: str) -> bool:
        return word == EOS or all(map(self._ids.__contains__, word.lower() if self.lowercase else word))

    @property
    def config(self) -> DataConfig:
        """The settings that say of which kind it is."""
        return DataConfig(level="char", lowercase=self.lowercase)

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The characters of a block of words, a SPACE before each word that does not begin a line; -1: not known."""
        written = _written(words, begins_line=begins_line)
        code_points = (written.lower() if self.lowercase else written).encode("utf-32-le", "surrogatepass")
        return self._id_of[np.frombuffer(code_points, np.uint32)]

    def word_starts(self, tokens: Ids) -> Flags:
        """Which characters begin a word: the SPACE before it, or what comes first in a line; and each `<eos>`."""
        ends = tokens == self.eos
        begins_line = np.concatenate([[True], ends])[: len(tokens)]
        starts: Flags = (tokens == self._ids[SPACE]) | ends | begins_line
        return starts

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The characters of a text, small where the vocabulary has small letters alone."""
        written = _written(words, begins_line=True)
        folded = written.lower() if self.lowercase else written
        return [EOS if character == "\n" else character for character in folded]

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """What each character adds to a text: itself."""
        for token in tokens:
            yield "\n" if token == self.eos else self.words[token]

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, lowercase: bool = False
    ) -> Self:
        """The characters of counted words, as `frequent` keeps and orders them."""
        lines = counts.get(EOS, 0)
        # Of the words none but those that begin a line lack a space before them: one of each line that is not empty.
        found = Counter({EOS: lines, SPACE: max(0, sum(counts.values()) - 2 * lines)})
        for word, count in counts.items():
            if word != EOS:
                for character in word.lower() if lowercase else word:
                    found[character] += count
        always = (EOS, UNK, SPACE)
        return cls(frequent(found, min_count=min_count, size=size, always=always), lowercase=lowercase)


def _written(words: Sequence[str], *, begins_line: bool) -> str:
    """The text of a block of words, a line feed for each `<eos>`."""
    first = "" if begins_line or not words or words[0] == EOS else SPACE
    lines = SPACE.join("\n" if word == EOS else word for word in words)
    return first + lines.replace(" \n", "\n").replace("\n ", "\n")
