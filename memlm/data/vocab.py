"""Words and their ids. A vocabulary is built on the training split alone."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Self

from memlm import files
from memlm.errors import MemlmError

EOS = "<eos>"
UNK = "<unk>"


class WordList:
    """A bijection of words and ids 0..V-1."""

    tokenizer = "words"

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

    def save(self, path: Path) -> None:
        """One word a line, in the order of the ids."""
        files.write_whole(path, ("\n".join(self.words) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Inverse of `save`."""
        try:
            text = path.read_bytes().decode()
        except FileNotFoundError:
            raise MemlmError(f"no vocabulary at {path}") from None
        except UnicodeDecodeError as error:
            raise MemlmError(f"{path} is not UTF-8 text (byte {error.start})") from None
        return cls(text.removesuffix("\n").split("\n"))


class Vocabulary(WordList):
    """The words of a text, the most frequent first, `<eos>` and `<unk>` among them; unknown words are `<unk>`."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        if EOS not in self or UNK not in self:
            raise MemlmError(f"a vocabulary of a text holds {EOS} and {UNK}")
        self.eos, self.unk = self.ids((EOS, UNK))

    @classmethod
    def from_counts(cls, counts: Counter[str]) -> "Vocabulary":
        """Every counted word, by falling count and then alphabetically; `<eos>` and `<unk>` always."""
        counts = counts + Counter()  # a copy without the zeros
        counts.setdefault(EOS, 0)
        counts.setdefault(UNK, 0)
        return cls(sorted(counts, key=lambda word: (-counts[word], word)))
