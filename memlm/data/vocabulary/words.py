"""Words and their ids. A vocabulary is built on the training split alone."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from memlm import files
from memlm.config.data import DataConfig
from memlm.errors import MemlmError

EOS = "<eos>"
UNK = "<unk>"

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


class WordList:
    """A bijection of words and ids 0..V-1."""

    tokenizer = "words"
    file = "vocab.txt"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise MemlmError("a vocabulary holds each word once")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def ids(self, words: Iterable[str]) -> Iterator[int]:
        """Ids of the words, -1 for those not known."""
        return map(self._ids.get, words, repeat(-1))

    @property
    def sha256(self) -> str:
        """Hash of the words in order: two runs can be compared only if it is the same."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Keep it in a folder: vocab.txt, one word a line in the order of the ids."""
        files.write_whole(folder / self.file, ("\n".join(self.words) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The words that `save` kept in a folder."""
        return cls(cls.read(folder))

    @classmethod
    def read(cls, folder: Path) -> list[str]:
        """The lines of vocab.txt."""
        path = folder / cls.file
        try:
            text = path.read_bytes().decode()
        except FileNotFoundError:
            raise MemlmError(f"no vocabulary at {path}") from None
        except UnicodeDecodeError as error:
            raise MemlmError(f"{path} is not UTF-8 text (byte {error.start})") from None
        return text.removesuffix("\n").split("\n")


class Vocabulary(WordList):
    """The tokens of a text, `<eos>` and `<unk>` among them; here they are words, and unknown words are `<unk>`.

    Vocabularies of other kinds answer to the same: what is said of words here holds for the
    words of a text whatever its tokens are.
    """

    def __init__(self, words: Sequence[str], *, lowercase: bool = False) -> None:
        super().__init__(words)
        self.lowercase = lowercase
        if EOS not in self._ids or UNK not in self._ids:
            raise MemlmError(f"a vocabulary of a text holds {EOS} and {UNK}")
        self.eos, self.unk = self._ids[EOS], self._ids[UNK]

    def __contains__(self, word: str) -> bool:
        return super().__contains__(word.lower() if self.lowercase else word)

    def ids(self, words: Iterable[str]) -> Iterator[int]:
        """Ids of the words, -1 for those not known."""
        return super().ids(map(str.lower, words) if self.lowercase else words)

    @property
    def config(self) -> DataConfig:
        """The settings that say of which kind it is, as `memlm.data.vocabulary.load.load` wants them."""
        return DataConfig(lowercase=self.lowercase)

    @property
    def sha256(self) -> str:
        """Hash of all that decides the ids of a text."""
        if not self.lowercase:
            return super().sha256
        # No word is empty: what begins so is no list of words.
        return hashlib.sha256("\n".join(["", "lowercase", *self.words]).encode()).hexdigest()

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The tokens of a block of words, as read_words yields them, `<eos>` among them; -1 for what is not known.

        Each word has one token at least, and `<eos>` one that no other word has. Blocks make the tokens of the whole,
        wherever it is cut into them: `begins_line` tells of a block that begins the text, or comes after an `<eos>`.
        Of this kind every word is one token.
        """
        return np.fromiter(self.ids(words), np.int32, len(words))

    @property
    def is_of_words(self) -> bool:
        """Whether each word of a text is one token."""
        return self.tokenizer == Vocabulary.tokenizer

    def word_starts(self, tokens: Ids) -> Flags:
        """Which tokens (T,) of a text begin a word: its first one does, and each `<eos>`."""
        return np.ones(len(tokens), bool)

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The tokens of a text, its words given with `<eos>` among them, with the letters that stand there."""
        return list(words)

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """What each token adds to a text: a space before a word inside a line, a line feed for `<eos>`."""
        for token in tokens:
            word = self.words[token]
            yield "\n" if token == self.eos else word if begins_line else f" {word}"
            begins_line = token == self.eos

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, lowercase: bool = False
    ) -> Self:
        """The counted words, as `frequent` keeps and orders them."""
        folded: Counter[str] = Counter()
        for word, count in counts.items():
            folded[word.lower() if lowercase else word] += count
        return cls(frequent(folded, min_count=min_count, size=size), lowercase=lowercase)


def frequent(
    counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, always: Sequence[str] = (EOS, UNK)
) -> list[str]:
    """The counted tokens by falling count and then alphabetically, those named by `always` among them.

    Those seen less than `min_count` times are left out, and of the others all but the most frequent where there are
    more than `size`; `<unk>` has its place by the count of all that were left out.
    """
    others = {token: count for token, count in counts.items() if token not in always}
    ranked = sorted((token for token in others if others[token] >= max(1, min_count)), key=lambda t: (-others[t], t))
    kept = {token: others[token] for token in (ranked if size is None else ranked[: size - len(always)])}
    left_out = sum(others.values()) - sum(kept.values())
    kept |= {token: counts.get(token, 0) for token in always}
    kept[UNK] += left_out
    return sorted(kept, key=lambda token: (-kept[token], token))
