"""Pieces of words, learnt by sentencepiece from the training split alone.

No piece goes over a space, so that a word has its pieces whatever stands around it. A word's first piece begins with
SPACE, which stands for the space before the word. A character that the training split hardly holds is spelled out in
the bytes of its UTF-8, so that no word is unknown. A word `<unk>` that stands in a text, as in Penn Treebank, is one
token.

Source: Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226, and https://github.com/google/sentencepiece.
"""

import hashlib
import io
import re
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from memlm import files
from memlm.config_data import DataConfig
from memlm.data.corpus import TextFile, read_words, size_of
from memlm.data.vocab import EOS, UNK, Flags, Ids, Vocabulary
from memlm.errors import MemlmError

SPACE = "\u2581"
MODEL = "tokenizer.model"
SAMPLE = 10 << 20  # bytes of the training split that pieces are learnt from
LINE = 1000  # words that are learnt from at once
LONGEST = 1000  # characters of a word that are cut into pieces at once: the work of a longer one grows out of bounds
REMEMBERED = 1 << 18  # words
# The trainer passes over a line that holds U+2585, which is its sign for what it does not know.
NOT_LEARNT = re.compile(f"[{SPACE}\u2585\0]")
TOO_FEW = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")
TOO_MANY = re.compile(r"set it to a value <= (\d+)")
ALL_BYTES = 256
BYTE = re.compile("<0x([0-9A-F]{2})>")


class PieceVocabulary(Vocabulary):
    """Pieces of words, the most frequent first, `<eos>` and `<unk>` among them, and the model that cuts words."""

    tokenizer = "sentencepiece"

    def __init__(self, pieces: Sequence[str], model: bytes, *, lowercase: bool = False) -> None:
        super().__init__(pieces, lowercase=lowercase)
        self.model = model
        self._processor = _processor(model)
        own = _pieces(self._processor)
        if sorted(own) != sorted(pieces):
            raise MemlmError(f"{MODEL} is damaged: its pieces are not those of the vocabulary")
        self._id_of = [self._ids[piece] for piece in own]  # by sentencepiece's own id
        self._pieces_of_space = [own.index(f"<0x{byte:02X}>") for byte in SPACE.encode()]
        self._bytes = {
            i: bytes.fromhex(found[1]) for i, piece in enumerate(pieces) if (found := BYTE.fullmatch(piece))
        }
        self._begins = np.array([piece.startswith(SPACE) or piece in (EOS, UNK) for piece in pieces])
        self._spell = lru_cache(REMEMBERED)(self._spelled)

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.words, self.model, self.lowercase)

    def __contains__(self, word: str) -> bool:
        return True

    @property
    def config(self) -> DataConfig:
        """The settings that say of which kind it is."""
        return DataConfig(tokenizer="sentencepiece", lowercase=self.lowercase)

    @property
    def sha256(self) -> str:
        """Hash of all that decides the ids of a text."""
        parts = ["", self.tokenizer, hashlib.sha256(self.model).hexdigest(), super().sha256]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Keep it in a folder: vocab.txt, one piece a line in the order of the ids, and sentencepiece's own model."""
        files.write_whole(folder / MODEL, self.model)
        super().save(folder)

    def ids_of(self, words: Sequence[str], *, begins_line: bool = True) -> Ids:
        """The pieces of a block of words; none is ever unknown."""
        folded = map(str.lower, words) if self.lowercase else words
        return np.fromiter(chain.from_iterable(map(self._spell, folded)), np.int32)

    def word_starts(self, tokens: Ids) -> Flags:
        """Which of the pieces begin a word."""
        return self._begins[tokens]

    def as_written(self, words: Sequence[str]) -> list[str]:
        """The pieces of a text."""
        return [self.words[token] for token in self.ids_of(words)]

    def spelling(self, tokens: Iterable[int], *, begins_line: bool = True) -> Iterator[str]:
        """What each piece adds to a text; bytes do with the last one of their character."""
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

    def _frequencies(self, counts: Counter[str]) -> Counter[str]:
        """How often each piece stands in a text, from the counts of its words."""
        found: Counter[str] = Counter(dict.fromkeys(self.words, 0))
        for word, count in counts.items():
            for token in self._spelled(word.lower() if self.lowercase else word):
                found[self.words[token]] += count
        return found


def learn(train: TextFile, counts: Counter[str], data: DataConfig) -> PieceVocabulary:
    """The pieces of a training split, of which the words are counted already.

    They are learnt from up to SAMPLE bytes of it, taken evenly from all of a longer one, and put into order by their
    counts over the whole. Raises MemlmError where `vocab_size` does not fit the text.
    """
    assert data.vocab_size is not None, "resolved settings say how many"
    try:
        model = _trained(train, data.vocab_size, kind=data.pieces, lowercase=data.lowercase)
    except RuntimeError as error:
        raise _misfit(train, data, error) from None
    pieces = _pieces(_processor(model))
    found = PieceVocabulary(pieces, model, lowercase=data.lowercase)._frequencies(counts)
    ranked = sorted(pieces, key=lambda piece: (-found[piece], piece))
    return PieceVocabulary(ranked, model, lowercase=data.lowercase)


def load(folder: Path, *, lowercase: bool) -> PieceVocabulary:
    """What `PieceVocabulary.save` kept in a folder. Raises MemlmError for a damaged one."""
    try:
        model = (folder / MODEL).read_bytes()
    except OSError as error:
        raise MemlmError(f"cannot read {folder / MODEL}: {files.reason(error)}") from None
    try:
        return PieceVocabulary(Vocabulary.read(folder), model, lowercase=lowercase)
    except (RuntimeError, UnicodeDecodeError):
        raise MemlmError(f"{folder / MODEL} is damaged: sentencepiece can't read it") from None


def _sample(train: TextFile, *, lowercase: bool) -> Iterator[str]:
    """Lines to learn from: of each block of the text its first words, so many that all are SAMPLE bytes together."""
    share = min(1.0, SAMPLE / size_of(train))
    for words in read_words(train):
        kept = words[: round(len(words) * share)]
        line: list[str] = []
        for word in [*kept, EOS]:
            if word in (EOS, UNK) or len(line) >= LINE:
                yield " ".join(["", *line])
                line = []
            if word not in (EOS, UNK):
                line += _learnable(word.lower() if lowercase else word)


def _learnable(word: str) -> Iterator[str]:
    """The parts of a word that the trainer takes, of no more than LONGEST characters."""
    for part in NOT_LEARNT.split(word):
        for at in range(0, len(part), LONGEST):
            yield part[at : at + LONGEST]


def _trained(train: TextFile, size: int, *, kind: str, lowercase: bool) -> bytes:
    """A sentencepiece model of so many pieces. Raises RuntimeError."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=_sample(train, lowercase=lowercase),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        normalization_rule_name="identity",
        # The space before a word is written out, so that the rest of a word can be cut into pieces without one.
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        required_chars=SPACE,
        byte_fallback=True,
        unk_piece=UNK,
        eos_piece=EOS,
        eos_id=1,
        bos_id=-1,
        pad_id=-1,
        max_sentence_length=1 << 30,  # bytes; longer ones would be passed over
        num_threads=1,  # of several, each sums up in another order
        minloglevel=2,  # errors alone
    )
    return model.getvalue()


def _misfit(train: TextFile, data: DataConfig, error: RuntimeError) -> MemlmError:
    """Why a text has not this many pieces, from what sentencepiece says of it."""
    what, size = str(error), data.vocab_size
    if least := TOO_FEW.search(what):
        return MemlmError(
            f"vocab_size is {size}; it must be at least {least[1]}: {EOS}, {UNK}, {ALL_BYTES} bytes, and the "
            f"characters of the training split"
        )
    if most := TOO_MANY.search(what):
        try:
            _trained(train, ALL_BYTES + 2, kind=data.pieces, lowercase=data.lowercase)
        except RuntimeError as too_few:
            least = TOO_FEW.search(str(too_few))
        return MemlmError(
            f"vocab_size is {size}; it must be from {least[1] if least else ALL_BYTES} to {most[1]}: "
            f"no more {data.pieces} pieces are found in the training split"
        )
    if "sentences_.empty()" in what:
        return MemlmError("the training split has no words that pieces could be learnt from")
    return MemlmError(f"sentencepiece can't learn {size} pieces: {what}")


def _processor(model: bytes) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=model)


def _pieces(processor: SentencePieceProcessor) -> list[str]:
    """Its pieces in the order of its own ids."""
    pieces: list[str] = processor.id_to_piece(list(range(len(processor))))
    return pieces


def _restored(pieces: Sequence[str], model: bytes, lowercase: bool) -> PieceVocabulary:
    return PieceVocabulary(pieces, model, lowercase=lowercase)
