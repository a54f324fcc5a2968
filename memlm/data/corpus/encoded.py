"""Encoded texts, made once and mapped from the data folder (memlm.data.corpus.cache).

A file holds four int64, the numbers of tokens, of unknown ones, of words and of characters; a sha256, of these and all
that follows; the tokens as int32; and the places of the unknown ones as int64.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from memlm.data.corpus import workers
from memlm.data.corpus.cache import WORTH_KEEPING, kept
from memlm.data.corpus.reading import EncodedText, TextFile, encode_blocks, join, read_words, sha256_of, size_of
from memlm.data.vocabulary.words import Vocabulary

FORMAT = 4  # goes up when the files or the rules of splitting change
HEADER, TOKEN, PLACE = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.int64)
COUNTS_SIZE = 4 * HEADER.itemsize
HEADER_SIZE = COUNTS_SIZE + hashlib.sha256().digest_size


def load_encoded(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    """A text's tokens, read-only, mapped from the data folder; those of a small text, or where it can't be
    written, in memory.

    Raises MemlmError for a file that is missing, empty, not UTF-8 or changing.
    """
    found = None
    if size_of(text) >= WORTH_KEEPING:
        made_of = f"tokens {FORMAT} {vocabulary.sha256}"
        found = kept(text, made_of, ".tokens", read=mapped, make=lambda place: _make(text, vocabulary, place))
    return replace(found or _in_memory(text, vocabulary), text_sha256=sha256_of(text))


def _in_memory(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    made = join(encode_blocks(read_words(text), vocabulary))
    made.tokens.flags.writeable = False
    return made


def _make(text: TextFile, vocabulary: Vocabulary, place: Path) -> None:
    if size_of(text) < workers.WORTH:
        write(place, encode_blocks(read_words(text), vocabulary))
        return
    folder = place.parent
    vocabulary.save(folder)
    kind = {"vocabulary": os.fspath(folder.absolute()), "data": asdict(vocabulary.config)}
    write(place, _joined(workers.run("encode", text, folder, **kind)))


def _joined(parts: Iterable[Path]) -> Iterator[EncodedText]:
    """Encoded pieces of a text as its blocks."""
    count = 0
    for part in parts:
        piece = mapped(part)
        if piece is None:
            raise OSError(f"{part} is damaged")
        yield replace(piece, unknown=piece.unknown + count)
        count += len(piece.tokens)


def mapped(place: Path) -> EncodedText | None:
    """What the file holds; None if there is none, or not a whole one with its own hash."""
    with suppress(OSError, ValueError), place.open("rb") as file:
        counts, sha256 = file.read(COUNTS_SIZE), file.read(HEADER_SIZE - COUNTS_SIZE)
        count, oov, words, characters = np.frombuffer(counts, HEADER).tolist()
        tokens_end = HEADER_SIZE + count * TOKEN.itemsize
        if count > 0 and os.fstat(file.fileno()).st_size == tokens_end + oov * PLACE.itemsize:
            tokens = np.memmap(file, TOKEN, "r", HEADER_SIZE, (count,))
            file.seek(tokens_end)
            unknown = np.frombuffer(file.read(), PLACE)
            if _digest(counts, tokens.data, unknown.data) == sha256:
                return EncodedText(tokens=tokens, unknown=unknown, words=words, characters=characters)
    return None


def write(path: Path, pieces: Iterable[EncodedText]) -> None:
    """Keep the blocks of a text in a file. Raises OSError."""
    count = words = characters = 0
    unknown = [np.empty(0, PLACE)]
    with path.open("wb+") as file:
        file.write(bytes(HEADER_SIZE))
        for piece in pieces:
            file.write(piece.tokens.data)
            unknown.append(piece.unknown)
            count += len(piece.tokens)
            words += piece.words
            characters += piece.characters
        places = np.concatenate(unknown)
        file.write(places.data)
        file.flush()
        tokens = np.memmap(file, TOKEN, "r", HEADER_SIZE, (count,))
        counts = np.array([count, len(places), words, characters], HEADER).tobytes()
        file.seek(0)
        file.write(counts + _digest(counts, tokens.data, places.data))
        file.flush()
        os.fsync(file.fileno())


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
