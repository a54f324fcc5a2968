"""A subword vocabulary: pieces of words, cut by a sentencepiece model.

No piece crosses a space, so the pieces of a word do not depend on its context. The first piece of a word begins with
SPACE, for the space before the word. A character that is too rare in training is spelled in the bytes of its UTF-8, so
no word is unknown. A word `<unk>` in a text, as in Penn Treebank, is one token.

Source: Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226, and https://github.com/google/sentencepiece.
"""

import hashlib
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor

from memlm import files
from memlm.config.data import DataConfig
from memlm.data.vocabulary.words import EOS, UNK, Flags, Ids, Vocabulary
from memlm.errors import MemlmError

SPACE = "\u2581"
MODEL = "tokenizer.model"
LONGEST = 1000  # characters that are cut into pieces at once: time grows faster than the length of a word
CACHED_WORDS = 1 << 18
BYTE = re.compile("<0x([0-9A-F]{2})>")


class PieceVocabulary(Vocabulary):
    """Pieces, the most frequent first, with `<eos>` and `<unk>` among them, and the model that cuts words."""

    tokenizer = "sentencepiece"

    def __init__(self, pieces: Sequence[str], model: bytes, *, lowercase: bool = False) -> None:
        super().__init__(pieces, lowercase=lowercase)
        self.model = model
        self._processor = processor_of(model)
        own = pieces_of(self._processor)
        if sorted(own) != sorted(pieces):
            raise MemlmError(f"{MODEL} is damaged: its pieces are not those of the vocabulary")
        self._id_of = [self._ids[piece] for piece in own]  # indexed by sentencepiece's id
        self._pieces_of_space = [own.index(f"<0x{byte:02X}>") for byte in SPACE.encode()]
        self._bytes = {
            i: bytes.fromhex(found[1]) for i, piece in enumerate(pieces) if (found := BYTE.fullmatch(piece))
        }
        self._begins = np.array([piece.startswith(SPACE) or piece in (EOS, UNK) for piece in pieces])
        self._spell = lru_cache(CACHED_WORDS)(self._spelled)

    def __contains__(self, word: str) -> bool:
        return True

    @property
    def config(self) -> DataConfig:
        """The settings of this kind of vocabulary."""
        return DataConfig(tokenizer="sentencepiece", lowercase=self.lowercase)

    @property
    def sha256(self) -> str:
        """Hash of everything that determines the ids of a text."""
        parts = ["", self.tokenizer, hashlib.sha256(self.model).hexdigest(), super().sha256]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write vocab.txt, one piece per line in the order of the ids, and sentencepiece's own model to a folder."""
        files.write_whole(folder / MODEL, self.model)
        super().save(folder)

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The pieces of a block of words. None is ever unknown."""
        folded = map(str.lower, words) if self.lowercase else words
        return np.fromiter(chain.from_iterable(map(self._spell, folded)), np.int32)

    def word_starts(self, tokens: Ids) -> Flags:
        """Which of the pieces begin a word."""
        return self._begins[tokens]

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The pieces of a text."""
        return [self.words[token] for token in self.ids_of(words)]

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """The text of each token. The last byte of a character gives the character, the bytes before it nothing."""
        decoder = getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            if token in self._bytes:
                yield decoder.decode(self._bytes[token])
            else:
                cut_off = decoder.decode(b"", final=True)
                yield cut_off + self._written(self.words[token], begins_line=begins_line)
            begins_line = token == self.eos

    def _written(self, piece: str, *, begins_line: bool) -> str:
        if piece == EOS:
            return "\n"
        text = f" {piece}" if piece == UNK else piece.replace(SPACE, " ")
        return text.removeprefix(" ") if begins_line else text

    def _spelled(self, word: str) -> tuple[int, ...]:
        """The ids of a word's pieces."""
        if word in (EOS, UNK):
            return (self._ids[word],)
        found: list[int] = []
        for number, part in enumerate(word.split(SPACE)):
            found += self._pieces_of_space if number else ()
            text = part if number else f" {part}"
            for at in range(0, len(text), LONGEST):
                found += self._processor.encode(text[at : at + LONGEST].encode(errors="replace"))
        return tuple(self._id_of[piece] for piece in found)


def load_pieces(folder: Path, *, lowercase: bool) -> PieceVocabulary:
    """The vocabulary that `PieceVocabulary.save` wrote to a folder. Raises MemlmError if it is damaged."""
    try:
        model = (folder / MODEL).read_bytes()
    except OSError as error:
        raise MemlmError(f"cannot read {folder / MODEL}: {files.reason(error)}") from None
    try:
        return PieceVocabulary(Vocabulary.read_list(folder), model, lowercase=lowercase)
    except (RuntimeError, UnicodeDecodeError):
        raise MemlmError(f"{folder / MODEL} is damaged: sentencepiece can't read it") from None


def processor_of(model: bytes) -> SentencePieceProcessor:
    """A sentencepiece processor for a serialised model. Raises RuntimeError."""
    return SentencePieceProcessor(model_proto=model)


def pieces_of(processor: SentencePieceProcessor) -> list[str]:
    """The processor's pieces, in the order of its own ids."""
    pieces: list[str] = processor.id_to_piece(list(range(len(processor))))
    return pieces
