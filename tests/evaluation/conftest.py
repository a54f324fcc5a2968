"""Fixtures: a short text with an unknown word."""

import pytest

from memlm.data.corpus.reading import EncodedText, encode
from memlm.data.vocabulary.words import Vocabulary
from tests.helpers.passports import LINES


@pytest.fixture
def text(vocabulary: Vocabulary) -> EncodedText:
    return encode(LINES, vocabulary)
