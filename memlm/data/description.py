"""Counts of a dataset's splits, their unigram perplexity, and the lines they share with training."""

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

WORDS = 5  # of the shortest line that counts: shorter ones are the same by chance
LONGEST = 1 << 20  # bytes of the longest

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class SharedLines:
    """Of the distinct lines of a text that are long enough, how many the training text has too."""

    compared: int
    shared: int

    @property
    def share(self) -> float:
        """0 where there is no line to compare."""
        return self.shared / self.compared if self.compared else 0.0


def shared_lines(train: TextFile, others: Sequence[TextFile]) -> list[SharedLines]:
    """For each of the other texts, the lines it has in common with the training text."""
    known = [np.unique(np.concatenate([np.empty(0, np.uint64), *_hashes(text)])) for text in others]
    found = [np.zeros(len(lines), bool) for lines in known]
    for block in _hashes(train):
        for lines, is_found in zip(known, found, strict=True):
            if len(lines):
                places = np.minimum(np.searchsorted(lines, block), len(lines) - 1)
                is_found[places[lines[places] == block]] = True
    return [SharedLines(compared=len(lines), shared=int(hits.sum())) for lines, hits in zip(known, found, strict=True)]


def _hashes(text: TextFile) -> Iterator[Hashes]:
    """The lines that count, a block of them after the other."""
    for lines in _lines(text):
        parts = (line.split() for line in lines if len(line) <= LONGEST)
        digests = [hashlib.blake2b(b" ".join(words), digest_size=8).digest() for words in parts if len(words) >= WORDS]
        yield np.frombuffer(b"".join(digests), np.uint64)


def _lines(text: TextFile) -> Iterator[list[bytes]]:
    """The lines in blocks; of one that is too long to count, some piece that is too long as well."""
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


UNIGRAM = "by the counts of training, each token's one more than it is, so that none is impossible"
MUCH = 0.01  # of the lines shared with training: more of them is worth a warning

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """Counts of a split. Words and types are those of the text, an `<eos>` a line among them; tokens those that it is
    scored by, and `oov` of them what the vocabulary does not hold.
    """

    split: str
    lines: int
    words: int
    types: int
    tokens: int
    oov: int
    oov_share: float
    unigram_perplexity: float  # a token's: UNIGRAM
    compared_lines: int | None  # distinct ones, and long enough: memlm.data.description
    shared_lines: int | None  # with training
    floor_perplexity: float | None  # of a text whose entropy is known


@dataclass(frozen=True, kw_only=True)
class Description:
    """A text under its settings."""

    data: DataConfig
    vocabulary: int  # tokens that it holds
    splits: list[SplitFacts]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "data": asdict(self.data),
            "vocabulary": self.vocabulary,
            "splits": {facts.split: asdict(facts) for facts in self.splits},
            "unigram": UNIGRAM,
        }

    def warnings(self) -> list[str]:
        """A line for each split that has much in common with training."""
        said = []
        for facts in self.splits:
            compared, shared = facts.compared_lines or 0, facts.shared_lines or 0
            if shared and shared >= MUCH * compared:
                said.append(
                    f"train has {shared:,} of the {compared:,} different lines of {facts.split} that can be compared, "
                    f"{shared / compared:.1%}: a figure of {facts.split} is in part one of what was learnt by heart"
                )
        return said


def describe(name: str, data: DataConfig) -> Description:
    """The counts of a dataset's splits: one of the catalogue, a folder or a file. Raises MemlmError as `load` does."""
    data = dataset.resolved_data(name, data)
    files = dataset.split_files(name, data.split)
    loaded = dataset.load(name, data)
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
