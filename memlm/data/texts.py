"""Texts from Python: lines, or arrays of ids with a vocabulary. They become a dataset of files, as any other."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memlm import files
from memlm.data.catalog.entries import SPLITS
from memlm.data.storage import data_root
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError

Text = Iterable[str] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A dataset that was made from Python: where its files are, and its vocabulary if it came with one."""

    place: Path
    vocabulary: Vocabulary | None = None


def texts(*, train: Text, valid: Text, test: Text, vocabulary: Sequence[str] | None = None) -> Texts:
    """A dataset for `memlm.train`, of lines or of arrays of ids (T,).

    A line is a sentence, whose words stand between white space. Ids need the `vocabulary`: their words in the order
    of the ids, `<eos>` (which ends a line) and `<unk>` among them, none of them with white space. The texts are
    written to the data folder once, under the hash of their content, so that the run can be evaluated and resumed.
    Raises MemlmError for what is no text.

    >>> data = memlm.texts(train=["the cat sat", "a dog sat"] * 50, valid=["the dog sat"], test=["a cat sat"])
    """
    words = None if vocabulary is None else _checked(vocabulary)
    parts = dict(zip(SPLITS, (train, valid, test), strict=True))
    content = {
        split: "".join(f"{line}\n" for line in _lines(split, text, words)).encode() for split, text in parts.items()
    }
    for split, data in content.items():
        if not data.split():
            raise MemlmError(f"{split} is empty: a dataset needs words in train, valid and test")
    digest = hashlib.sha256(b"\0".join(content.values())).hexdigest()
    place = data_root().absolute() / "texts" / digest[:16]
    place.mkdir(parents=True, exist_ok=True)
    for split, data in content.items():
        path = place / f"{split}.txt"
        if not path.exists() or path.read_bytes() != data:
            files.write_whole(path, data)
    return Texts(place=place, vocabulary=None if words is None else Vocabulary(words))


def _checked(vocabulary: Sequence[str]) -> list[str]:
    words = list(vocabulary)
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise MemlmError(f"the vocabulary holds {word!r}: an entry must be a word without white space")
    for needed in (EOS, UNK):
        if needed not in words:
            raise MemlmError(f"the vocabulary lacks {needed}: ids need one that holds {EOS} and {UNK}")
    if len(set(words)) < len(words):
        raise MemlmError("the vocabulary holds a word twice")
    return words


def _lines(split: str, text: Text, words: Sequence[str] | None) -> Iterator[str]:
    if isinstance(text, str | bytes):
        raise MemlmError(f"{split} is one string: give a list of lines, as text.splitlines() makes it")
    if isinstance(text, np.ndarray):
        yield from _decoded(split, text, words)
        return
    if not isinstance(text, Iterable):
        raise MemlmError(f"{split} is {type(text).__name__}: give lines or an array of ids")
    for line in text:
        if not isinstance(line, str):
            raise MemlmError(f"{split} holds {line!r}: lines must be str, or the text an array of ids")
        if "\n" in line.removesuffix("\n"):
            raise MemlmError(f"{split} holds a line with a line break in it: {line[:40]!r}")
        yield line.removesuffix("\n")


def _decoded(split: str, ids: npt.NDArray[Any], words: Sequence[str] | None) -> Iterator[str]:
    if words is None:
        raise MemlmError(f"{split} is an array of ids: give their vocabulary too")
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise MemlmError(f"{split} is an array {ids.shape} of {ids.dtype}: ids must be whole numbers (T,)")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(words):
        raise MemlmError(f"{split} holds an id that is not from 0 to {len(words) - 1}, the size of the vocabulary")
    ends = np.flatnonzero(ids == words.index(EOS)).tolist()
    begin = 0
    for end in [*ends, *([len(ids)] if len(ids) and (not ends or ends[-1] < len(ids) - 1) else [])]:
        yield " ".join(words[i] for i in ids[begin:end].tolist())
        begin = end + 1
