"""Load the vocabulary of a run, of whatever kind it is."""

from pathlib import Path

from memlm.config.data import DataConfig
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.words import Vocabulary


def load(folder: Path, data: DataConfig) -> Vocabulary:
    """The vocabulary that `Vocabulary.save` has put into a folder."""
    if data.tokenizer == "sentencepiece":
        from memlm.data.vocabulary import pieces  # which imports sentencepiece

        return pieces.load(folder, lowercase=data.lowercase)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind(kind.read(folder), lowercase=data.lowercase)
