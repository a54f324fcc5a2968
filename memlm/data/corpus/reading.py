r"""Text to token ids: words split at white space, one `<eos>` per line.

Files are read in blocks, so neither a text nor the list of its words is ever in memory as a whole, however long its
lines. A text is a file or a range of a file's bytes; both follow the same rules.
A text is UTF-8. A byte order mark is skipped. Lines end at \n alone; the last line may lack it. A \r before it is
white space. Refused are an empty text, text that is not UTF-8, a NUL (which UTF-16 has), and a word of more than a
million characters. The error names the file, the line and the byte.
"""

import hashlib
import os
import stat
import sys
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memlm.data.vocabulary.words import EOS, Vocabulary
from memlm.errors import MemlmError
from memlm.files import reason

BLOCK = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"
WORD_LIMIT = 1_000_000  # characters

Tokens = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TextFile:
    """A text: a file, or its bytes from `start` up to `end`, which must not cut a word.

    A piece of a larger text may begin or end inside a line. There is no `<eos>` at such an end.
    """

    path: Path
    start: int = 0
    end: int | None = None  # None: the end of the file
    begins_line: bool = True
    ends_line: bool = True


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A text as ids: `tokens` (T,), and the positions of the unknown ones: `unknown` (O,), ascending.

    `words` counts the words of the text, one `<eos>` per line included. It equals T if each word is one token.
    `characters` counts Unicode code points: the letters, one space between two words of a line, and one line feed per
    line. An unknown word counts with its own letters.
    `text_sha256` is the hash of the file's bytes, whatever the tokens are; None for a text that is not from a file.
    """

    tokens: Tokens
    unknown: Places
    words: int
    characters: int
    text_sha256: str | None = None

    @property
    def oov(self) -> int:
        """How many tokens are out of vocabulary. An `<unk>` that the text itself contains is in the vocabulary."""
        return len(self.unknown)


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file to read it. Raises MemlmError for any failure, and for a pipe: a text is read more than once."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise MemlmError(f"{path} is a pipe or a device: save it to a file first")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise MemlmError(f"no file at {path}") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {reason(error)}") from None


def size_of(text: TextFile) -> int:
    """The size of a text in bytes."""
    with opened(text.path) as file:
        size = os.fstat(file.fileno()).st_size
    return max(0, min(size, size if text.end is None else text.end) - text.start)


def sha256_of(text: TextFile) -> str:
    """The SHA-256 of a text's bytes."""
    digest = hashlib.sha256()
    with opened(text.path) as file:
        file.seek(text.start)
        for data in _blocks(file, text, BLOCK):
            digest.update(data)
    return digest.hexdigest()


def read_words(text: TextFile, *, block: int = BLOCK) -> Iterator[list[str]]:
    r"""The words of a UTF-8 text, with `<eos>` after each line, in lists of about `block` bytes.

    Lines end at \n alone, not at the other line ends of Unicode; the last line may lack it. A byte order mark is
    skipped. Raises MemlmError, with the line and its byte, if the file is missing, empty or not text.
    """
    decoder = getincrementaldecoder("utf-8")()
    rest, ended = "", True
    with opened(text.path) as file:
        begin = at = _begin(file, text)  # `at` is the offset of the next block in the file
        for data in _blocks(file, text, block):
            held = len(decoder.getstate()[0])
            before_nul, nul, _ = data.partition(b"\0")
            try:
                read = rest + decoder.decode(before_nul).replace("\n", f" {EOS} ")
            except UnicodeDecodeError as error:
                raise _not_text(text.path, "", at - held + error.start) from None
            if nul:
                raise _not_text(text.path, ": it holds a NUL", at + len(before_nul))
            words = read.split()
            # The last word may go on in the next block.
            rest = words.pop() if words and not read[-1].isspace() else ""
            yield words
            at, ended = at + len(data), data.endswith(b"\n")
            if len(rest) > WORD_LIMIT:
                raise _not_text(text.path, f": a word of more than {WORD_LIMIT:,} characters", at)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_text(text.path, "", at - len(error.object)) from None
    if at == begin:
        raise MemlmError(f"{text.path} is empty")
    if not ended and text.ends_line:
        yield [rest, EOS] if rest else [EOS]


def _begin(file: BufferedReader, text: TextFile) -> int:
    """The offset where the text begins, after a byte order mark. The file is left there."""
    mark = len(BOM) if text.start == 0 and file.read(len(BOM)) == BOM else 0
    return file.seek(text.start + mark)


def _blocks(file: BufferedReader, text: TextFile, size: int) -> Iterator[bytes]:
    left = sys.maxsize if text.end is None else text.end - file.tell()
    while data := file.read(min(size, max(0, left))):
        yield data
        left -= len(data)


def _not_text(path: Path, why: str, fault: int) -> MemlmError:
    """The error for a fault at this offset of the file."""
    line, column, left = 1, 1, fault
    with opened(path) as file:
        while data := file.read(min(BLOCK, left)):
            left -= len(data)
            line += data.count(b"\n")
            column = len(data) - data.rfind(b"\n") + (0 if b"\n" in data else column - 1)
    return MemlmError(f"{path} is not UTF-8 text{why} (line {line}, byte {column})")


def count_words(blocks: Iterable[list[str]]) -> Counter[str]:
    """How often each word occurs in the blocks."""
    counts: Counter[str] = Counter()
    for words in blocks:
        counts.update(words)
    return counts


def id_counts(tokens: Tokens, vocabulary_size: int) -> npt.NDArray[np.int64]:
    """How often each id occurs in a text (T,): (V,). Only a part of a mapped text is in memory at a time."""
    found = np.zeros(vocabulary_size, np.int64)
    for at in range(0, len(tokens), BLOCK):
        found += np.bincount(tokens[at : at + BLOCK], minlength=vocabulary_size)
    return found


def encode_blocks(
    blocks: Iterable[list[str]], vocabulary: Vocabulary, *, begins_line: bool = True
) -> Iterator[EncodedText]:
    """Each block's ids. Positions are counted from the start of the first block, which may begin inside a line."""
    count, after_end = 0, begins_line  # tokens before the block; whether the block begins a line
    for words in blocks:
        tokens = vocabulary.ids_of(words, begins_line=after_end)
        unknown = np.flatnonzero(tokens < 0)
        tokens[unknown] = vocabulary.unk
        ends = np.concatenate([[after_end], tokens == vocabulary.eos])
        characters = _characters(words, begins=ends[:-1], ends=ends[1:])
        yield EncodedText(tokens=tokens, unknown=unknown + count, words=len(words), characters=characters)
        count, after_end = count + len(tokens), bool(ends[-1])


def _characters(words: list[str], *, begins: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> int:
    """How many characters: letters, one line feed per `<eos>`, and one space before each word inside a line."""
    line_feeds = np.count_nonzero(ends)
    letters = sum(map(len, words)) - len(EOS) * line_feeds
    first_words = np.count_nonzero(begins & ~ends)
    return int(letters + line_feeds + (len(words) - line_feeds - first_words))


def join(pieces: Iterable[EncodedText]) -> EncodedText:
    """Join the pieces of `encode_blocks` into one text."""
    parts = list(pieces)
    return EncodedText(
        tokens=np.concatenate([np.empty(0, np.int32), *(piece.tokens for piece in parts)]),
        unknown=np.concatenate([np.empty(0, np.int64), *(piece.unknown for piece in parts)]),
        words=sum(piece.words for piece in parts),
        characters=sum(piece.characters for piece in parts),
    )


def encode(lines: Iterable[list[str]], vocabulary: Vocabulary) -> EncodedText:
    """The ids of all lines as one text, with `<eos>` after each line."""
    return join(encode_blocks(([*words, EOS] for words in lines), vocabulary))
