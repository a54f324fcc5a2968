"""Which kind of vocabulary a run has: made from the training split by its settings, found again in its folder."""

from pathlib import Path

from memlm.config_data import DataConfig
from memlm.data import learning, pieces
from memlm.data.characters import CharacterVocabulary
from memlm.data.corpus import TextFile
from memlm.data.counts import word_counts
from memlm.data.vocab import Vocabulary


def make(train: TextFile, data: DataConfig) -> Vocabulary:
    """The vocabulary of a training split."""
    if data.tokenizer == "sentencepiece":
        return learning.learn(train, data)
    counts = word_counts(train)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind.from_counts(counts, min_count=data.min_count or 1, size=data.vocab_size, lowercase=data.lowercase)


def load(folder: Path, data: DataConfig) -> Vocabulary:
    """The vocabulary that `Vocabulary.save` has put into a folder."""
    if data.tokenizer == "sentencepiece":
        return pieces.load(folder, lowercase=data.lowercase)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind(kind.read(folder), lowercase=data.lowercase)
