r"""Text to token ids: words split at white space, one `<eos>` a line.

Files are read in blocks, so that neither a text nor the list of its words is ever in memory, however long its lines.
A text may be some of a file's bytes: what is said of a file here holds for them as if they were one.
A text is UTF-8; a byte order mark is no part of it. Lines end at \n alone, and the last one need not; a \r before it
is white space. Refused, by file, line and byte: what is empty, what is not UTF-8, a NUL, which no text holds (UTF-16
does), and a word that goes on for more than a million characters.
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
    """A text: a file, or its bytes from `start` to before `end`, where no word may be cut.

    It may be a piece of a text that is read piece by piece, and begin or end within a line: then no `<eos>` is there.
    """

    path: Path
    start: int = 0
    end: int | None = None  # of the file
    begins_line: bool = True
    ends_line: bool = True


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A text as ids: `tokens` (T,), and which of them its vocabulary does not hold: `unknown` (O,), rising.

    `words` are those of the text, an `<eos>` a line among them: as many as tokens, where each word is one.
    `characters` are those (Unicode's code points) of the text as it is read: a line is its words with one space
    between them and a line feed after the last. A word that is not known has the letters that stand in the text.
    `text_sha256` is that of the bytes of a text that was read from a file, whatever its tokens are.
    """

    tokens: Tokens
    unknown: Places
    words: int
    characters: int
    text_sha256: str | None = None

    @property
    def oov(self) -> int:
        """How many tokens the vocabulary does not hold; an `<unk>` that stands in the text is one it holds."""
        return len(self.unknown)


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """The file to be read; what fails is a MemlmError. A text is read more than once, which a pipe can't be."""
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
    """Bytes of a text."""
    with opened(text.path) as file:
        size = os.fstat(file.fileno()).st_size
    return max(0, min(size, size if text.end is None else text.end) - text.start)


def sha256_of(text: TextFile) -> str:
    """Hash of a text's bytes."""
    digest = hashlib.sha256()
    with opened(text.path) as file:
        file.seek(text.start)
        for data in _blocks(file, text, BLOCK):
            digest.update(data)
    return digest.hexdigest()


def read_words(text: TextFile, *, block: int = BLOCK) -> Iterator[list[str]]:
    r"""The words of a UTF-8 text, `<eos>` after each line, in lists of about `block` bytes.

    Lines end at \n alone, whatever else Unicode calls a line end; the last one need not. A byte order mark is passed
    over. Raises MemlmError for a file that is missing, empty or no text, naming the line and its byte.
    """
    decoder = getincrementaldecoder("utf-8")()
    rest, ended = "", True
    with opened(text.path) as file:
        begin = at = _begin(file, text)  # `at` is the place in the file of the next block
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
    """The place where the text begins, after a byte order mark, and the file is read on."""
    mark = len(BOM) if text.start == 0 and file.read(len(BOM)) == BOM else 0
    return file.seek(text.start + mark)


def _blocks(file: BufferedReader, text: TextFile, size: int) -> Iterator[bytes]:
    left = sys.maxsize if text.end is None else text.end - file.tell()
    while data := file.read(min(size, max(0, left))):
        yield data
        left -= len(data)


def _not_text(path: Path, why: str, fault: int) -> MemlmError:
    """The fault is at this place in the file."""
    line, column, left = 1, 1, fault
    with opened(path) as file:
        while data := file.read(min(BLOCK, left)):
            left -= len(data)
            line += data.count(b"\n")
            column = len(data) - data.rfind(b"\n") + (0 if b"\n" in data else column - 1)
    return MemlmError(f"{path} is not UTF-8 text{why} (line {line}, byte {column})")


def count_words(blocks: Iterable[list[str]]) -> Counter[str]:
    """How often each word stands in the blocks."""
    counts: Counter[str] = Counter()
    for words in blocks:
        counts.update(words)
    return counts


def id_counts(tokens: Tokens, vocabulary_size: int) -> npt.NDArray[np.int64]:
    """How often each id is in a text (T,): (V,). Of a text that is mapped, little is in memory at a time."""
    found = np.zeros(vocabulary_size, np.int64)
    for at in range(0, len(tokens), BLOCK):
        found += np.bincount(tokens[at : at + BLOCK], minlength=vocabulary_size)
    return found


def encode_blocks(
    blocks: Iterable[list[str]], vocabulary: Vocabulary, *, begins_line: bool = True
) -> Iterator[EncodedText]:
    """Each block's ids; places are counted from the start of the first block, which begins a line or goes on."""
    count, after_end = 0, begins_line  # of the tokens before the block; whether it begins a line
    for words in blocks:
        tokens = vocabulary.ids_of(words, begins_line=after_end)
        unknown = np.flatnonzero(tokens < 0)
        tokens[unknown] = vocabulary.unk
        ends = np.concatenate([[after_end], tokens == vocabulary.eos])
        characters = _characters(words, begins=ends[:-1], ends=ends[1:])
        yield EncodedText(tokens=tokens, unknown=unknown + count, words=len(words), characters=characters)
        count, after_end = count + len(tokens), bool(ends[-1])


def _characters(words: list[str], *, begins: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> int:
    """Letters, a line feed for each `<eos>`, and a space before each other word that does not begin a line."""
    line_feeds = np.count_nonzero(ends)
    letters = sum(map(len, words)) - len(EOS) * line_feeds
    first_words = np.count_nonzero(begins & ~ends)
    return int(letters + line_feeds + (len(words) - line_feeds - first_words))


def join(pieces: Iterable[EncodedText]) -> EncodedText:
    """The pieces of `encode_blocks` as one text."""
    kept = list(pieces)
    return EncodedText(
        tokens=np.concatenate([np.empty(0, np.int32), *(piece.tokens for piece in kept)]),
        unknown=np.concatenate([np.empty(0, np.int64), *(piece.unknown for piece in kept)]),
        words=sum(piece.words for piece in kept),
        characters=sum(piece.characters for piece in kept),
    )


def encode(lines: Iterable[list[str]], vocabulary: Vocabulary) -> EncodedText:
    """The ids of the words of all lines, end to end, with `<eos>` after each line."""
    return join(encode_blocks(([*words, EOS] for words in lines), vocabulary))
