"""Encoded texts, made once and mapped from `encoded/` in the data folder.

A file is named by what it was made of: the text, the vocabulary and the format. So none goes stale, and any may be
deleted at any time; of several processes one makes it, and the others wait. It holds four int64, the numbers of
tokens, of unknown ones, of words and of characters; a sha256, of these and all that follows; the tokens as int32; and
the places of the unknown ones as int64.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from memlm.data.corpus import EncodedText, TextFile, encode_blocks, join, read_words, sha256_of, size_of
from memlm.data.fetch import data_root
from memlm.data.making import making
from memlm.data.vocab import Vocabulary
from memlm.errors import MemlmError

FORMAT = 4  # goes up when the files or the rules of splitting change
HEADER, TOKEN, PLACE = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.int64)
COUNTS_SIZE = 4 * HEADER.itemsize
HEADER_SIZE = COUNTS_SIZE + hashlib.sha256().digest_size
WORTH_KEEPING = 1 << 20  # bytes of text; a smaller one is encoded faster than anyone would notice


def load_encoded(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    """A text's tokens, read-only, mapped from the data folder; those of a small text, or where it can't be
    written, in memory.

    Raises MemlmError for a file that is missing, empty, not UTF-8 or changing.
    """
    return _in_memory(text, vocabulary) if size_of(text) < WORTH_KEEPING else _kept(text, vocabulary)


def _kept(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    content = sha256_of(text)
    key = hashlib.sha256(f"{FORMAT} {content} {vocabulary.sha256}".encode()).hexdigest()
    place = data_root() / "encoded" / f"{key}.tokens"
    if found := _mapped(place):
        return found
    with suppress(OSError), making(place, f"encoding {text.path}") as scratch:
        if found := _mapped(place):
            return found
        new = scratch / place.name
        _write(new, encode_blocks(read_words(text), vocabulary))
        if sha256_of(text) != content:
            raise MemlmError(f"{text.path} changed while it was read: try again")
        new.replace(place)
        if found := _mapped(place):
            return found
    return _in_memory(text, vocabulary)


def _in_memory(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    made = join(encode_blocks(read_words(text), vocabulary))
    made.tokens.flags.writeable = False
    return made


def _mapped(place: Path) -> EncodedText | None:
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


def _write(path: Path, pieces: Iterable[EncodedText]) -> None:
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
