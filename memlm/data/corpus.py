r"""Text to token ids: words split at white space, one `<eos>` a line.

Files are read in blocks, so that neither a text nor the list of its words is ever in memory, however long its lines.
A text is UTF-8; a byte order mark is no part of it. Lines end at \n alone, and the last one need not; a \r before it
is white space. Refused, by file, line and byte: what is empty, what is not UTF-8, a NUL, which no text holds (UTF-16
does), and a word that goes on for more than a million characters.
"""

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memlm.data.vocab import EOS, Vocabulary
from memlm.errors import MemlmError

BLOCK = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"
WORD_LIMIT = 1_000_000  # characters

Tokens = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A text as ids: `tokens` (T,), and where its words are not in the vocabulary: `unknown` (O,), rising.

    `characters` are those (Unicode's code points) of the text as it is read: a line is its words with one space
    between them and a line feed after the last. A word that is not known has the letters that stand in the text.
    """

    tokens: Tokens
    unknown: Places
    characters: int

    @property
    def oov(self) -> int:
        """How many words the vocabulary does not hold; an `<unk>` that stands in the text is a word it holds."""
        return len(self.unknown)


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """The file to be read; what fails is a MemlmError."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise MemlmError(f"no file at {path}") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {error.strerror}") from None


def read_words(path: Path, *, block: int = BLOCK) -> Iterator[list[str]]:
    r"""The words of a UTF-8 file, `<eos>` after each line, in lists of about `block` bytes of text.

    Lines end at \n alone, whatever else Unicode calls a line end; the last one need not. A byte order mark is passed
    over. Raises MemlmError for a file that is missing, empty or no text, naming the line and its byte.
    """
    decoder = getincrementaldecoder("utf-8")()
    data, rest = b"", ""
    with opened(path) as file:
        mark = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(mark)
        line, column = 1, mark  # where `data` begins: bytes are counted from the line feed on
        while data := file.read(block):
            held = len(decoder.getstate()[0])
            before_nul, nul, _ = data.partition(b"\0")
            try:
                text = rest + decoder.decode(before_nul).replace("\n", f" {EOS} ")
            except UnicodeDecodeError as error:
                raise _not_text(path, "", error.object[: error.start], line, column - held) from None
            if nul:
                raise _not_text(path, ": it holds a NUL", before_nul, line, column)
            words = text.split()
            # The last word may go on in the next block.
            rest = words.pop() if words and not text[-1].isspace() else ""
            yield words
            line += data.count(b"\n")
            column = len(data) - data.rfind(b"\n") - 1 + (0 if b"\n" in data else column)
            if len(rest) > WORD_LIMIT:
                raise _not_text(path, f": a word of more than {WORD_LIMIT:,} characters", b"", line, column)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_text(path, "", b"", line, column - len(error.object)) from None
    if column > (mark if line == 1 else 0):
        yield [rest, EOS] if rest else [EOS]
    elif line == 1:
        raise MemlmError(f"{path} is empty")


def _not_text(path: Path, why: str, before: bytes, line: int, column: int) -> MemlmError:
    """The fault comes after the bytes `before`, which begin `column` bytes into the line."""
    line += before.count(b"\n")
    byte = len(before) - before.rfind(b"\n") + (0 if b"\n" in before else column)
    return MemlmError(f"{path} is not UTF-8 text{why} (line {line}, byte {byte})")


def count_words(blocks: Iterable[list[str]]) -> Counter[str]:
    """How often each word stands in the blocks."""
    counts: Counter[str] = Counter()
    for words in blocks:
        counts.update(words)
    return counts


def encode_blocks(blocks: Iterable[list[str]], vocabulary: Vocabulary) -> Iterator[EncodedText]:
    """Each block's ids; places are counted from the start of the first block."""
    count, after_end = 0, True  # of the words before the block; whether it begins a line
    for words in blocks:
        tokens = np.fromiter(vocabulary.ids(words), np.int32, len(words))
        unknown = np.flatnonzero(tokens < 0)
        tokens[unknown] = vocabulary.unk
        ends = np.concatenate([[after_end], tokens == vocabulary.eos])
        characters = _characters(words, begins=ends[:-1], ends=ends[1:])
        yield EncodedText(tokens=tokens, unknown=unknown + count, characters=characters)
        count, after_end = count + len(words), bool(ends[-1])


def _characters(words: list[str], *, begins: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> int:
    """Letters, a line feed for each `<eos>`, and a space before each other word that does not begin a line."""
    line_feeds = np.count_nonzero(ends)
    letters = sum(map(len, words)) - len(EOS) * line_feeds
    return int(letters + line_feeds + np.count_nonzero(~begins & ~ends))


def join(pieces: Iterable[EncodedText]) -> EncodedText:
    """The pieces of `encode_blocks` as one text."""
    kept = list(pieces)
    return EncodedText(
        tokens=np.concatenate([np.empty(0, np.int32), *(piece.tokens for piece in kept)]),
        unknown=np.concatenate([np.empty(0, np.int64), *(piece.unknown for piece in kept)]),
        characters=sum(piece.characters for piece in kept),
    )


def encode(lines: Iterable[list[str]], vocabulary: Vocabulary) -> EncodedText:
    """The ids of the words of all lines, end to end, with `<eos>` after each line."""
    return join(encode_blocks(([*words, EOS] for words in lines), vocabulary))
