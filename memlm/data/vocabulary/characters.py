"""A character vocabulary: the characters of the words, a space between words, `<eos>` at the end of a line.

A character that is too rare in training is `<unk>`. A word `<unk>` in a text is spelled out.
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
    """Characters, the most frequent first. SPACE, `<eos>` and `<unk>` are among them."""

    tokenizer = "characters"

    def __init__(self, characters: Sequence[str], *, lowercase: bool = False) -> None:
        super().__init__(characters, lowercase=lowercase)
        if SPACE not in self._ids or any(len(character) != 1 for character in {*characters} - {EOS, UNK}):
            raise MemlmError(f"{self.file} is damaged: it must hold one character per line, with a space among them")
        self._id_of = np.full(UNICODE_END, -1, np.int32)  # by code point
        for i, character in enumerate(characters):
            if character not in (EOS, UNK):
                self._id_of[ord(character)] = i
        self._id_of[ord("\n")] = self.eos

    def __contains__(self, word: str) -> bool:
        return word == EOS or all(map(self._ids.__contains__, word.lower() if self.lowercase else word))

    @property
    def config(self) -> DataConfig:
        """The settings of this kind of vocabulary."""
        return DataConfig(level="char", lowercase=self.lowercase)

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The characters of a block of words, with SPACE before each word inside a line; -1 for unknown ones."""
        written = _written(words, begins_line=begins_line)
        code_points = (written.lower() if self.lowercase else written).encode("utf-32-le", "surrogatepass")
        return self._id_of[np.frombuffer(code_points, np.uint32)]

    def word_starts(self, tokens: Ids) -> Flags:
        """Which characters begin a word: the SPACE before it, the first one of a line, and each `<eos>`."""
        ends = tokens == self.eos
        begins_line = np.concatenate([[True], ends])[: len(tokens)]
        starts: Flags = (tokens == self._ids[SPACE]) | ends | begins_line
        return starts

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The characters of a text, in lower case if the vocabulary is."""
        written = _written(words, begins_line=True)
        folded = written.lower() if self.lowercase else written
        return [EOS if character == "\n" else character for character in folded]

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """The text of each token: the character itself."""
        for token in tokens:
            yield "\n" if token == self.eos else self.words[token]

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, lowercase: bool = False
    ) -> Self:
        """A vocabulary of the characters of counted words, selected and ordered by `frequent`."""
        lines = counts.get(EOS, 0)
        # Every word has a space before it, except the first word of each line that is not empty.
        found = Counter({EOS: lines, SPACE: max(0, sum(counts.values()) - 2 * lines)})
        for word, count in counts.items():
            if word != EOS:
                for character in word.lower() if lowercase else word:
                    found[character] += count
        always = (EOS, UNK, SPACE)
        return cls(frequent(found, min_count=min_count, size=size, always=always), lowercase=lowercase)


def _written(words: Sequence[str], *, begins_line: bool) -> str:
    """The text of a block of words, with a line feed for each `<eos>`."""
    first = "" if begins_line or not words or words[0] == EOS else SPACE
    lines = SPACE.join("\n" if word == EOS else word for word in words)
    return first + lines.replace(" \n", "\n").replace("\n ", "\n")
