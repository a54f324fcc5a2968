"""A saved vocabulary is loaded as the kind that the settings name."""

from collections import Counter
from pathlib import Path

import pytest

from memlm.config.data import DataConfig
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.pieces import PieceVocabulary
from memlm.data.vocabulary.words import EOS, Vocabulary
from memlm.errors import MemlmError

COUNTS = Counter(["the", "cat", EOS])


@pytest.mark.parametrize("kind", [Vocabulary, CharacterVocabulary])
@pytest.mark.parametrize("lowercase", [False, True])
def test_words_and_characters_come_back_as_their_kind(kind: type[Vocabulary], lowercase: bool, tmp_path: Path):
    saved = kind.from_counts(COUNTS, lowercase=lowercase)
    saved.save(tmp_path)
    found = load_vocabulary(tmp_path, saved.config)
    assert type(found) is kind
    assert found.sha256 == saved.sha256
    assert ("CAT" in found) == lowercase


def test_pieces_come_back_as_pieces(learnt: dict[str, PieceVocabulary], tmp_path: Path):
    learnt["bpe"].save(tmp_path)
    assert type(load_vocabulary(tmp_path, learnt["bpe"].config)) is PieceVocabulary


def test_a_folder_without_a_vocabulary_is_named(tmp_path: Path):
    with pytest.raises(MemlmError, match=r"no vocabulary at .*vocab\.txt"):
        load_vocabulary(tmp_path, DataConfig())
