"""Words and their ids. A vocabulary is built from the training split alone."""

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
            raise MemlmError("a vocabulary must hold each word once")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def ids(self, words: Iterable[str]) -> Iterator[int]:
        """Ids of the words, -1 for unknown ones."""
        return map(self._ids.get, words, repeat(-1))

    @property
    def sha256(self) -> str:
        """Hash of the words in order. Two runs can be compared only if their hashes are equal."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write vocab.txt, one word per line in the order of the ids, to a folder."""
        files.write_whole(folder / self.file, ("\n".join(self.words) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The words that `save` wrote to a folder."""
        return cls(cls.read_list(folder))

    @classmethod
    def read_list(cls, folder: Path) -> list[str]:
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
    """The tokens of a text, with `<eos>` and `<unk>` among them. Here tokens are words; unknown words are `<unk>`.

    This is also the interface of the other kinds of vocabulary. A word is always a word of the text, whatever the
    tokens are.
    """

    def __init__(self, words: Sequence[str], *, lowercase: bool = False) -> None:
        super().__init__(words)
        self.lowercase = lowercase
        if EOS not in self._ids or UNK not in self._ids:
            raise MemlmError(f"the vocabulary of a text must hold {EOS} and {UNK}")
        self.eos, self.unk = self._ids[EOS], self._ids[UNK]

    def __contains__(self, word: str) -> bool:
        return super().__contains__(word.lower() if self.lowercase else word)

    def ids(self, words: Iterable[str]) -> Iterator[int]:
        """Ids of the words, -1 for unknown ones."""
        return super().ids(map(str.lower, words) if self.lowercase else words)

    @property
    def config(self) -> DataConfig:
        """The settings of this kind of vocabulary, for `memlm.data.vocabulary.load.load_vocabulary`."""
        return DataConfig(lowercase=self.lowercase)

    @property
    def sha256(self) -> str:
        """Hash of everything that determines the ids of a text."""
        if not self.lowercase:
            return super().sha256
        # No word is empty, so this differs from every list of words.
        return hashlib.sha256("\n".join(["", "lowercase", *self.words]).encode()).hexdigest()

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The tokens of a block of words, as read_words yields it, `<eos>` included; -1 for unknown tokens.

        Each word has at least one token, and `<eos>` has a token of its own. The tokens of a text do not depend on how
        it is cut into blocks: `begins_line` says whether a block begins the text or follows an `<eos>`.
        In this kind of vocabulary, every word is one token.
        """
        return np.fromiter(self.ids(words), np.int32, len(words))

    @property
    def is_of_words(self) -> bool:
        """Whether each word of a text is one token."""
        return self.tokenizer == Vocabulary.tokenizer

    def word_starts(self, tokens: Ids) -> Flags:
        """Which tokens (T,) of a text begin a word. The first token of a word does, and each `<eos>`."""
        return np.ones(len(tokens), bool)

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The tokens of a text as strings, unknown ones with their own letters. `words` has the text's `<eos>`."""
        return list(words)

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """The text of each token, with a space before a word inside a line; a line feed for `<eos>`."""
        for token in tokens:
            word = self.words[token]
            yield "\n" if token == self.eos else word if begins_line else f" {word}"
            begins_line = token == self.eos

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, lowercase: bool = False
    ) -> Self:
        """A vocabulary of the counted words, selected and ordered by `frequent`."""
        folded: Counter[str] = Counter()
        for word, count in counts.items():
            folded[word.lower() if lowercase else word] += count
        return cls(frequent(folded, min_count=min_count, size=size), lowercase=lowercase)


def frequent(
    counts: Mapping[str, int], *, min_count: int = 1, size: int | None = None, always: Sequence[str] = (EOS, UNK)
) -> list[str]:
    """The most frequent tokens, by descending count and then alphabetically. Those in `always` are included.

    Tokens with a count below `min_count` are left out, and the rarest ones if there are more than `size`. `<unk>` is
    ranked by the total count of all tokens that are left out.
    """
    others = {token: count for token, count in counts.items() if token not in always}
    ranked = sorted((token for token in others if others[token] >= max(1, min_count)), key=lambda t: (-others[t], t))
    selected = {token: others[token] for token in (ranked if size is None else ranked[: size - len(always)])}
    left_out = sum(others.values()) - sum(selected.values())
    selected |= {token: counts.get(token, 0) for token in always}
    selected[UNK] += left_out
    return sorted(selected, key=lambda token: (-selected[token], token))
