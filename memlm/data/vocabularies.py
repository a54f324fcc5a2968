"""Which kind of vocabulary a run has: made from the training split by its settings, found again in its folder."""

from pathlib import Path

from memlm.config_data import DataConfig
from memlm.data.corpus import TextFile
from memlm.data.counts import word_counts
from memlm.data.vocab import Vocabulary
from memlm.errors import MemlmError


def make(train: TextFile, data: DataConfig) -> Vocabulary:
    """The vocabulary of a training split."""
    _refuse_unknown(data)
    counts = word_counts(train)
    return Vocabulary.from_counts(
        counts, min_count=data.min_count or 1, size=data.vocab_size, lowercase=data.lowercase
    )


def load(folder: Path, data: DataConfig) -> Vocabulary:
    """The vocabulary that `Vocabulary.save` has put into a folder."""
    _refuse_unknown(data)
    return Vocabulary(Vocabulary.read(folder), lowercase=data.lowercase)


def _refuse_unknown(data: DataConfig) -> None:
    if (data.level, data.tokenizer) != ("word", "words"):
        raise MemlmError(f"there is no vocabulary of level {data.level} and tokenizer {data.tokenizer} yet")
