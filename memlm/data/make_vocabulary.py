"""Make the vocabulary of a training split. Pieces of words are learnt by sentencepiece, once, and cached.

The trainer accepts a string as a piece only if different things follow it. It is therefore given whole lines of text:
from a list of words with their counts it finds fewer pieces.
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
from memlm.data.corpus.cache import WORTH_CACHING, cached
from memlm.data.corpus.counts import word_counts
from memlm.data.corpus.reading import TextFile, read_words, size_of
from memlm.data.progress_bar import spinner
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.pieces import LONGEST, SPACE, PieceVocabulary, pieces_of, processor_of
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError

FORMAT = "pieces 1"  # goes up when the files or the learning change
SAMPLE = 10 << 20  # bytes of the training split, at most, that pieces are learnt from
LINE = 1000  # words, at most, in a line for the trainer
ALL_BYTES = 256
MOST = 1_000_000  # pieces: the trainer considers no more, but loops over all ids that it is asked for
# The trainer skips a line with U+2585, which is its symbol for unknown characters.
NOT_LEARNABLE = re.compile(f"[{SPACE}\u2585\0]")
TOO_FEW = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")
TOO_MANY = re.compile(r"set it to a value <= (\d+)")


class Learnt(NamedTuple):
    """Pieces, the most frequent first, and the sentencepiece model that cuts words into them."""

    pieces: Sequence[str]
    model: bytes


def learn_pieces(train: TextFile, data: DataConfig) -> PieceVocabulary:
    """Learn the pieces of a training split.

    They are learnt from at most SAMPLE bytes, taken evenly from the whole split, and are ordered by their counts in
    the whole split. Raises MemlmError if `vocab_size` does not fit the text.
    """
    found = None
    if size_of(train) >= WORTH_CACHING:
        # Another version of sentencepiece learns other pieces from the same text.
        made_from = f"{FORMAT} {data.pieces} {data.vocab_size} {data.lowercase} {SAMPLE} {sentencepiece.__version__}"
        found = cached(
            train, made_from, ".pieces", read=read_pieces, make=lambda path: write_pieces(path, _learnt(train, data))
        )
    pieces, model = found or _learnt(train, data)
    return PieceVocabulary(pieces, model, lowercase=data.lowercase)


def write_pieces(path: Path, learnt: Learnt) -> None:
    """Write the sha256 of all that follows, the pieces, one per line, and the model to a file."""
    content = "\n".join(learnt.pieces).encode() + b"\0" + learnt.model
    path.write_bytes(hashlib.sha256(content).digest() + content)


def read_pieces(path: Path) -> Learnt | None:
    """Inverse of `write_pieces`; None if the file is missing, cut off or damaged."""
    with suppress(OSError):
        whole = path.read_bytes()
        content = whole[hashlib.sha256().digest_size :]
        if hashlib.sha256(content).digest() + content == whole:
            pieces, _, model = content.partition(b"\0")
            return Learnt(pieces.decode().split("\n"), model)
    return None


def _learnt(train: TextFile, data: DataConfig) -> Learnt:
    assert data.vocab_size is not None, "resolved settings have a vocab_size"
    if data.vocab_size > MOST:
        raise MemlmError(f"vocab_size is {data.vocab_size}; it must be at most {MOST:,}")
    try:
        with spinner(f"learning {data.vocab_size} pieces"):
            model = _trained(train, data.vocab_size, kind=data.pieces, lowercase=data.lowercase)
    except RuntimeError as error:
        raise _misfit(train, data, error) from None
    pieces = pieces_of(processor_of(model))
    counts = _frequencies(PieceVocabulary(pieces, model, lowercase=data.lowercase), word_counts(train))
    return Learnt(sorted(pieces, key=lambda piece: (-counts[piece], piece)), model)


def _frequencies(vocabulary: PieceVocabulary, words: Counter[str]) -> Counter[str]:
    """How often each piece occurs in a text, from the counts of its words."""
    found: Counter[str] = Counter()
    for word, count in words.items():
        for piece in vocabulary.as_written([word]):
            found[piece] += count
    return found


def _sample(train: TextFile, *, lowercase: bool) -> Iterator[str]:
    """Lines to learn from: the first words of each block of the text, about SAMPLE bytes in all."""
    share = min(1.0, SAMPLE / size_of(train))
    for words in read_words(train):
        sampled = words[: round(len(words) * share)]
        line: list[str] = []
        for word in [*sampled, EOS]:
            if word in (EOS, UNK) or len(line) >= LINE:
                yield " ".join(["", *line])
                line = []
            if word not in (EOS, UNK):
                line += _learnable(word.lower() if lowercase else word)


def _learnable(word: str) -> Iterator[str]:
    """The parts of a word that the trainer accepts, each of at most LONGEST characters."""
    for part in NOT_LEARNABLE.split(word):
        for at in range(0, len(part), LONGEST):
            yield part[at : at + LONGEST]


def _trained(train: TextFile, size: int, *, kind: str, lowercase: bool) -> bytes:
    """Train a sentencepiece model with `size` pieces. Raises RuntimeError."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_sample(train, lowercase=lowercase),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        normalization_rule_name="identity",
        # `_sample` writes the space before a word itself, so that the rest of a cut word has none.
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        required_chars=SPACE,
        byte_fallback=True,
        unk_piece=UNK,
        eos_piece=EOS,
        eos_id=1,
        bos_id=-1,
        pad_id=-1,
        max_sentence_length=1 << 30,  # bytes; longer lines would be skipped
        num_threads=1,  # several threads would add numbers in a varying order
        minloglevel=2,  # errors only
    )
    return model.getvalue()


def _misfit(train: TextFile, data: DataConfig, error: RuntimeError) -> MemlmError:
    """The error for a `vocab_size` that the text can't have, from the message of sentencepiece."""
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
            f"the training split has no more {data.pieces} pieces"
        )
    if "sentences_.empty()" in what:
        return MemlmError("the training split has no words to learn pieces from")
    return MemlmError(f"sentencepiece can't learn {size} pieces: {what}")


def make_vocabulary(train: TextFile, data: DataConfig) -> Vocabulary:
    """The vocabulary of a training split: words, characters or pieces, as `data` says."""
    if data.tokenizer == "sentencepiece":
        return learn_pieces(train, data)
    counts = word_counts(train)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind.from_counts(counts, min_count=data.min_count or 1, size=data.vocab_size, lowercase=data.lowercase)
