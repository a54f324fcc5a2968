"""Text to token ids: words split at white space, one `<eos>` a line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memlm.data.vocab import EOS, Vocabulary
from memlm.errors import MemlmError

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A text as ids: `tokens` is (T,), `oov` counts the words that the vocabulary does not hold."""

    tokens: Tokens
    oov: int


def read_lines(path: Path) -> Iterator[list[str]]:
    r"""The words of each line of a UTF-8 file; lines end at \n alone, whatever else Unicode calls a line end."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - the error names it
                yield line.decode().split()
    except FileNotFoundError:
        raise MemlmError(f"no file at {path}") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise MemlmError(f"{path} is not UTF-8 text (line {number}, byte {error.start + 1})") from None
    if number == 0:
        raise MemlmError(f"{path} is empty")


def count_words(lines: Iterable[list[str]]) -> Counter[str]:
    """How often each word stands in the lines, `<eos>` once a line."""
    counts: Counter[str] = Counter()
    ends = 0
    for words in lines:
        counts.update(words)
        ends += 1
    counts[EOS] += ends
    return counts


def encode(lines: Iterable[list[str]], vocabulary: Vocabulary) -> EncodedText:
    """The ids of all lines, end to end, with `<eos>` after each."""
    blocks: list[Tokens] = []
    pending: list[int] = []
    oov = 0
    for words in lines:
        ids = vocabulary.encode(words)
        oov += sum(i == vocabulary.unk and word not in vocabulary for i, word in zip(ids, words, strict=True))
        pending += ids
        pending.append(vocabulary.eos)
        if len(pending) > 1 << 20:  # a list costs 8 bytes a token more than an array
            blocks.append(np.array(pending, dtype=np.int32))
            pending = []
    blocks.append(np.array(pending, dtype=np.int32))
    return EncodedText(tokens=np.concatenate(blocks), oov=oov)
