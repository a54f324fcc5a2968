"""Fixtures: a place for a text, a text to learn pieces from, and its pieces."""

from pathlib import Path

import pytest

from memlm.data import make_vocabulary
from memlm.data.corpus.reading import TextFile
from memlm.data.vocabulary.pieces import PieceVocabulary
from tests.helpers.pieces import KINDS, TEXT, settings


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a text can be written."""
    return tmp_path_factory.mktemp("texts") / "text"


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TextFile:
    path = tmp_path_factory.mktemp("pieces") / "train.txt"
    path.write_text(TEXT)
    return TextFile(path)


@pytest.fixture(scope="module")
def learnt(train: TextFile) -> dict[str, PieceVocabulary]:
    made = {kind: make_vocabulary.make_vocabulary(train, settings(kind)) for kind in KINDS}
    return {kind: vocabulary for kind, vocabulary in made.items() if isinstance(vocabulary, PieceVocabulary)}
