"""Encoded texts, made once, cached (memlm.data.corpus.cache) and mapped into memory.

A file holds four int64, which count tokens, unknown tokens, words and characters; the sha256 of these and of all that
follows; the tokens as int32; and the positions of the unknown tokens as int64.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from memlm.data.corpus import workers
from memlm.data.corpus.cache import WORTH_CACHING, cached
from memlm.data.corpus.reading import EncodedText, TextFile, encode_blocks, join, read_words, sha256_of, size_of
from memlm.data.vocabulary.words import Vocabulary

FORMAT = 4  # goes up when the files or the rules of splitting change
HEADER, TOKEN, POSITION = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.int64)
COUNTS_SIZE = 4 * HEADER.itemsize
HEADER_SIZE = COUNTS_SIZE + hashlib.sha256().digest_size


def load_encoded(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    """A text's tokens, read-only and mapped from the cache. A small text is encoded in memory, and so is any text
    if the data folder can't be written.

    Raises MemlmError if the file is missing, empty, not UTF-8 or changes meanwhile.
    """
    found = None
    if size_of(text) >= WORTH_CACHING:
        made_from = f"tokens {FORMAT} {vocabulary.sha256}"
        found = cached(text, made_from, ".tokens", read=map_encoded, make=lambda path: _make(text, vocabulary, path))
    return replace(found or _in_memory(text, vocabulary), text_sha256=sha256_of(text))


def _in_memory(text: TextFile, vocabulary: Vocabulary) -> EncodedText:
    made = join(encode_blocks(read_words(text), vocabulary))
    made.tokens.flags.writeable = False
    return made


def _make(text: TextFile, vocabulary: Vocabulary, path: Path) -> None:
    if size_of(text) < workers.WORTH:
        write_encoded(path, encode_blocks(read_words(text), vocabulary))
        return
    folder = path.parent
    vocabulary.save(folder)
    kind = {"vocabulary": os.fspath(folder.absolute()), "data": asdict(vocabulary.config)}
    write_encoded(path, _joined(workers.run("encode", text, folder, **kind)))


def _joined(parts: Iterable[Path]) -> Iterator[EncodedText]:
    """The encoded pieces of a text, with positions counted from its start."""
    count = 0
    for part in parts:
        piece = map_encoded(part)
        if piece is None:
            raise OSError(f"{part} is damaged")
        yield replace(piece, unknown=piece.unknown + count)
        count += len(piece.tokens)


def map_encoded(path: Path) -> EncodedText | None:
    """The encoded text of a file, mapped into memory; None if the file is missing, cut off or damaged."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        counts, sha256 = file.read(COUNTS_SIZE), file.read(HEADER_SIZE - COUNTS_SIZE)
        count, oov, words, characters = np.frombuffer(counts, HEADER).tolist()
        tokens_end = HEADER_SIZE + count * TOKEN.itemsize
        if count > 0 and os.fstat(file.fileno()).st_size == tokens_end + oov * POSITION.itemsize:
            tokens = np.memmap(file, TOKEN, "r", HEADER_SIZE, (count,))
            file.seek(tokens_end)
            unknown = np.frombuffer(file.read(), POSITION)
            if _digest(counts, tokens.data, unknown.data) == sha256:
                return EncodedText(tokens=tokens, unknown=unknown, words=words, characters=characters)
    return None


def write_encoded(path: Path, pieces: Iterable[EncodedText]) -> None:
    """Write the pieces of an encoded text to a file. Raises OSError."""
    count = words = characters = 0
    unknown = [np.empty(0, POSITION)]
    with path.open("wb+") as file:
        file.write(bytes(HEADER_SIZE))
        for piece in pieces:
            file.write(piece.tokens.data)
            unknown.append(piece.unknown)
            count += len(piece.tokens)
            words += piece.words
            characters += piece.characters
        positions = np.concatenate(unknown)
        file.write(positions.data)
        file.flush()
        tokens = np.memmap(file, TOKEN, "r", HEADER_SIZE, (count,))
        counts = np.array([count, len(positions), words, characters], HEADER).tobytes()
        file.seek(0)
        file.write(counts + _digest(counts, tokens.data, positions.data))
        file.flush()
        os.fsync(file.fileno())


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
