"""Load a saved vocabulary of any kind."""

from pathlib import Path

from memlm.config.data import DataConfig
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.words import Vocabulary


def load_vocabulary(folder: Path, data: DataConfig) -> Vocabulary:
    """The vocabulary that `Vocabulary.save` wrote to a folder; `data` says of which kind it is."""
    if data.tokenizer == "sentencepiece":
        from memlm.data.vocabulary.pieces import load_pieces  # which imports sentencepiece

        return load_pieces(folder, lowercase=data.lowercase)
    kind = CharacterVocabulary if data.level == "char" else Vocabulary
    return kind(kind.read_list(folder), lowercase=data.lowercase)
