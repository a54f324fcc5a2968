"""Pieces of words learnt by sentencepiece from a training split, once: they are kept in the data folder.

The trainer takes for a piece only what is followed by different things, and so is given natural lines: of words alone,
with their counts, it finds less.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import sentencepiece

from memlm.config.data import DataConfig
from memlm.data import make_vocabulary
from memlm.data.corpus.cache import WORTH_KEEPING, kept
from memlm.data.corpus.counts import word_counts
from memlm.data.corpus.reading import TextFile, read_words, size_of
from memlm.data.progress_bar import spinner
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.pieces import LONGEST, SPACE, PieceVocabulary, pieces_of, processor_of
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError

FORMAT = "pieces 1"  # goes up when the files or what is learnt change
SAMPLE = 10 << 20  # bytes of the training split that pieces are learnt from
LINE = 1000  # words that are learnt from at once
ALL_BYTES = 256
MOST = 1_000_000  # pieces: as many as the trainer looks at, which goes through all ids that it is asked for
# The trainer passes over a line that holds U+2585, which is its sign for what it does not know.
NOT_LEARNT = re.compile(f"[{SPACE}\u2585\0]")
TOO_FEW = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")
TOO_MANY = re.compile(r"set it to a value <= (\d+)")


class Learnt(NamedTuple):
    """Pieces, the most frequent first, and the sentencepiece model that cuts words into them."""

    pieces: Sequence[str]
    model: bytes


def learn(train: TextFile, data: DataConfig) -> PieceVocabulary:
    """The pieces of a training split.

    They are learnt from up to SAMPLE bytes of it, taken evenly from all of a longer one, and put into order by their
    counts over the whole. Raises MemlmError where `vocab_size` does not fit the text.
    """
    found = None
    if size_of(train) >= WORTH_KEEPING:
        # Another version of sentencepiece learns other pieces of the same text.
        made_of = f"{FORMAT} {data.pieces} {data.vocab_size} {data.lowercase} {SAMPLE} {sentencepiece.__version__}"
        found = kept(train, made_of, ".pieces", read=read, make=lambda place: write(place, _learnt(train, data)))
    pieces, model = found or _learnt(train, data)
    return PieceVocabulary(pieces, model, lowercase=data.lowercase)


def write(place: Path, learnt: Learnt) -> None:
    """Keep what was learnt in a file: the pieces, a line each, and the model, after the sha256 of both."""
    content = "\n".join(learnt.pieces).encode() + b"\0" + learnt.model
    place.write_bytes(hashlib.sha256(content).digest() + content)


def read(place: Path) -> Learnt | None:
    """Inverse of `write`; None if there is no such file, or not a whole one with its own hash."""
    with suppress(OSError):
        whole = place.read_bytes()
        content = whole[hashlib.sha256().digest_size :]
        if hashlib.sha256(content).digest() + content == whole:
            pieces, _, model = content.partition(b"\0")
            return Learnt(pieces.decode().split("\n"), model)
    return None


def _learnt(train: TextFile, data: DataConfig) -> Learnt:
    assert data.vocab_size is not None, "resolved settings say how many"
    if data.vocab_size > MOST:
        raise MemlmError(f"vocab_size is {data.vocab_size}; of pieces there can be {MOST:,} at most")
    try:
        with spinner(f"learning {data.vocab_size} pieces"):
            model = _trained(train, data.vocab_size, kind=data.pieces, lowercase=data.lowercase)
    except RuntimeError as error:
        raise _misfit(train, data, error) from None
    pieces = pieces_of(processor_of(model))
    counts = _frequencies(PieceVocabulary(pieces, model, lowercase=data.lowercase), word_counts(train))
    return Learnt(sorted(pieces, key=lambda piece: (-counts[piece], piece)), model)


def _frequencies(vocabulary: PieceVocabulary, words: Counter[str]) -> Counter[str]:
    """How often each piece stands in a text, from the counts of its words."""
    found: Counter[str] = Counter()
    for word, count in words.items():
        for piece in vocabulary.as_written([word]):
            found[piece] += count
    return found


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
    sentencepiece.SentencePieceTrainer.train(
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


def make(train: TextFile, data: DataConfig) -> Vocabulary:
    """The vocabulary of a training split."""
    if data.tokenizer == "sentencepiece":
        return make_vocabulary.learn(train, data)
    counts = word_counts(train)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind.from_counts(counts, min_count=data.min_count or 1, size=data.vocab_size, lowercase=data.lowercase)
