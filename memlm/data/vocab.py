"""Words and their ids. A vocabulary is built on the training split alone."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from memlm import files
from memlm.config_data import DataConfig
from memlm.errors import MemlmError

EOS = "<eos>"
UNK = "<unk>"

Ids = npt.NDArray[np.int32]


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

    A vocabulary of another kind gives other `ids_of`, and keeps more in a folder: memlm.data.vocabularies.
    """

    def __init__(self, words: Sequence[str], *, lowercase: bool = False) -> None:
        super().__init__(words)
        self.lowercase = lowercase
        if EOS not in self or UNK not in self:
            raise MemlmError(f"a vocabulary of a text holds {EOS} and {UNK}")
        self.eos, self.unk = self.ids((EOS, UNK))

    def __contains__(self, word: str) -> bool:
        return super().__contains__(word.lower() if self.lowercase else word)

    def ids(self, words: Iterable[str]) -> Iterator[int]:
        """Ids of the words, -1 for those not known."""
        return super().ids(map(str.lower, words) if self.lowercase else words)

    @property
    def config(self) -> DataConfig:
        """The settings that say of which kind it is, as `memlm.data.vocabularies.load` wants them."""
        return DataConfig(lowercase=self.lowercase)

    @property
    def sha256(self) -> str:
        """Hash of all that decides the ids of a text."""
        if not self.lowercase:
            return super().sha256
        # No word is empty: what begins so is no list of words.
        return hashlib.sha256("\n".join(["", "lowercase", *self.words]).encode()).hexdigest()

    def ids_of(self, words: Sequence[str]) -> Ids:
        """The tokens of a block of words, as read_words yields them, `<eos>` among them; -1 for what is not known.

        Each word has its tokens, one at least, whatever stands around it; `<eos>` is one token, that no other word
        has. Of this kind every word is one.
        """
        return np.fromiter(self.ids(words), np.int32, len(words))

    @classmethod
    def from_counts(
        cls, counts: Counter[str], *, min_count: int = 1, size: int | None = None, lowercase: bool = False
    ) -> "Vocabulary":
        """The counted words by falling count and then alphabetically, `<eos>` and `<unk>` always among them.

        Those seen less than `min_count` times are left out, and of the others all but the most frequent where there
        are more than `size`; `<unk>` has its place by the count of all that were left out.
        """
        folded: Counter[str] = Counter()
        for word, count in counts.items():
            folded[word.lower() if lowercase else word] += count
        eos, unk = folded.pop(EOS, 0), folded.pop(UNK, 0)
        ranked = sorted((word for word in folded if folded[word] >= max(1, min_count)), key=lambda w: (-folded[w], w))
        kept = {word: folded[word] for word in (ranked if size is None else ranked[: size - 2])}
        kept |= {EOS: eos, UNK: unk + folded.total() - sum(kept.values())}
        return cls(sorted(kept, key=lambda word: (-kept[word], word)), lowercase=lowercase)
