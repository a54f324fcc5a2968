"""Counts of a dataset's splits, their unigram perplexity, and the lines that they share with training."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from memlm.config.data import DataConfig
from memlm.data import dataset
from memlm.data.corpus.counts import word_counts
from memlm.data.corpus.reading import BLOCK, TextFile, id_counts, opened, size_of
from memlm.data.vocabulary.words import EOS

WORDS = 5  # in the shortest line that is compared: shorter lines are equal by chance
LONGEST = 1 << 20  # bytes in the longest line that is compared

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class SharedLines:
    """How many distinct lines of a text are compared, and how many of them are in the training text too."""

    compared: int
    shared: int

    @property
    def share(self) -> float:
        """The share of the compared lines; 0 if there is none."""
        return self.shared / self.compared if self.compared else 0.0


def shared_lines(train: TextFile, others: Sequence[TextFile]) -> list[SharedLines]:
    """For each of the other texts, the lines that it shares with the training text."""
    known = [np.unique(np.concatenate([np.empty(0, np.uint64), *_hashes(text)])) for text in others]
    found = [np.zeros(len(lines), bool) for lines in known]
    for block in _hashes(train):
        for lines, is_found in zip(known, found, strict=True):
            if len(lines):
                places = np.minimum(np.searchsorted(lines, block), len(lines) - 1)
                is_found[places[lines[places] == block]] = True
    return [SharedLines(compared=len(lines), shared=int(hits.sum())) for lines, hits in zip(known, found, strict=True)]


def _hashes(text: TextFile) -> Iterator[Hashes]:
    """Hashes of the lines to compare, block by block."""
    for lines in _lines(text):
        parts = (line.split() for line in lines if len(line) <= LONGEST)
        digests = [hashlib.blake2b(b" ".join(words), digest_size=8).digest() for words in parts if len(words) >= WORDS]
        yield np.frombuffer(b"".join(digests), np.uint64)


def _lines(text: TextFile) -> Iterator[list[bytes]]:
    """The lines, block by block. A line longer than LONGEST may be cut, but stays longer than LONGEST."""
    left, rest = size_of(text), b""
    with opened(text.path) as file:
        file.seek(text.start)
        while left > 0 and (data := file.read(min(BLOCK, left))):
            left -= len(data)
            *lines, last = data.split(b"\n")
            if lines:
                yield [rest + lines[0], *lines[1:]]
                rest = last
            elif len(rest) <= LONGEST:
                rest += last
    yield [rest]


UNIGRAM = "by the counts of training plus one, so that no token is impossible"
WARN_SHARE = 0.01  # share of lines in common with training from which on a warning is given

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """Counts of a split. Words and types count the text, with one `<eos>` per line. Tokens are the units that a model
    predicts; `oov` of them are out of vocabulary.
    """

    split: str
    lines: int
    words: int
    types: int
    tokens: int
    oov: int
    oov_share: float
    unigram_perplexity: float  # per token: UNIGRAM
    compared_lines: int | None  # distinct and of at least WORDS words
    shared_lines: int | None  # with training
    floor_perplexity: float | None  # None if the exact entropy is unknown


@dataclass(frozen=True, kw_only=True)
class Description:
    """The counts of a dataset under its settings."""

    data: DataConfig
    vocabulary: int  # its size
    splits: list[SplitFacts]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "data": asdict(self.data),
            "vocabulary": self.vocabulary,
            "splits": {facts.split: asdict(facts) for facts in self.splits},
            "unigram": UNIGRAM,
        }

    def warnings(self) -> list[str]:
        """One line for each split that shares many lines with training."""
        lines = []
        for facts in self.splits:
            compared, shared = facts.compared_lines or 0, facts.shared_lines or 0
            if shared and shared >= WARN_SHARE * compared:
                lines.append(
                    f"train contains {shared:,} of the {compared:,} different lines of {facts.split} that can be "
                    f"compared, {shared / compared:.1%}: a result on {facts.split} partly measures memorisation"
                )
        return lines


def describe_dataset(name: str, data: DataConfig) -> Description:
    """The counts of a dataset's splits. Raises MemlmError as `memlm.data.dataset.load_dataset` does."""
    data = dataset.resolved_data(name, data)
    files = dataset.split_files(name, data.split)
    loaded = dataset.load_dataset(name, data)
    size = len(loaded.vocabulary)
    counts = {split: id_counts(text.tokens, size) for split, text in loaded.splits.items()}
    nats = np.log(counts["train"].sum() + size) - np.log(counts["train"] + 1)
    shared: dict[str, SharedLines] = dict(
        zip(("valid", "test"), shared_lines(files["train"], [files["valid"], files["test"]]), strict=True)
    )
    rows = []
    for split, text in loaded.splits.items():
        words = word_counts(files[split])
        tokens, floor, lines = len(text.tokens), loaded.floor_nats.get(split), shared.get(split)
        rows.append(
            SplitFacts(
                split=split,
                lines=words[EOS],
                words=text.words,
                types=len(words),
                tokens=tokens,
                oov=text.oov,
                oov_share=text.oov / tokens,
                unigram_perplexity=math.exp(float(counts[split] @ nats) / tokens),
                compared_lines=lines.compared if lines else None,
                shared_lines=lines.shared if lines else None,
                floor_perplexity=None if floor is None else math.exp(floor / tokens),
            )
        )
    return Description(data=data, vocabulary=size, splits=rows)
