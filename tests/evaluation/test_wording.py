"""Perplexities in words."""

from typing import Any

import numpy as np
import pytest

from memlm.config.data import DataConfig
from memlm.config.run import Config
from memlm.data.corpus.reading import EncodedText, encode
from memlm.data.dataset import TextDataset
from memlm.data.vocabulary.characters import CharacterVocabulary
from memlm.data.vocabulary.words import Vocabulary
from memlm.evaluation import passport
from memlm.evaluation.passport import Passport
from memlm.evaluation.wording import data_lines, perplexity_in_words, result_lines
from tests.helpers.passports import NATS, facts


@pytest.fixture
def made(text: EncodedText) -> Passport:
    """Of 8 tokens, 16 nats in all, one unknown word."""
    return passport.make_passport(NATS, text, facts(), memory_size=None, floor_nats=None)


def test_words_have_one_perplexity_and_their_unknown_words(made: Passport):
    assert perplexity_in_words(made) == ("perplexity 7.39", "8 tokens, 1 unknown words (12.50%)")
    made |= {"floor_perplexity": 2.5, "oov": 0}
    assert perplexity_in_words(made) == ("perplexity 7.39, floor 2.50", "8 tokens, 0 unknown words")


def test_parts_of_words_have_a_perplexity_per_word_first(made: Passport):
    made |= {
        "tokenizer": "sentencepiece",
        "tokens": 1200,
        "oov": 0,
        "word_perplexity": 100.0,
        "floor_word_perplexity": 9,
    }
    figures, counts = perplexity_in_words(made)
    assert figures == "perplexity 100.00, floor 9.00 per word, 7.39 per piece, 1.049 bits per character"
    assert counts == "8 words, 1,200 pieces, 22 characters, 0 unknown"


def test_a_part_of_a_text_has_no_perplexity_per_word(made: Passport):
    made |= {"tokenizer": "characters", "word_perplexity": None}
    assert perplexity_in_words(made) == ("perplexity 7.39 per character", "8 characters, 1 unknown (12.50%)")


def test_the_results_of_words_are_one_line_and_of_others_one_per_split(made: Passport):
    other = Passport(made | {"perplexity": 1e7, "word_perplexity": 1e7})
    assert result_lines(3, {"valid": made, "test": other}) == ["best epoch 3: perplexity valid 7.39, test 1e+07"]
    for passports in (made, other):
        passports["tokenizer"] = "characters"
    told = result_lines(3, {"valid": made, "test": other})
    assert [line.split(" per ")[0] for line in told] == [
        "best epoch 3:",
        "valid: perplexity 7.39",
        " test: perplexity 1e+07",
    ]


def dataset(vocabulary: Vocabulary, **floors: Any) -> TextDataset:
    text = encode([["the", "cat"]], vocabulary)
    return TextDataset(name="made", vocabulary=vocabulary, splits={"valid": text, "test": text}, floor_nats=floors)


def test_tokens_that_are_words_need_no_word_about_them(vocabulary: Vocabulary):
    assert data_lines(Config(), dataset(vocabulary)) == []
    told = data_lines(Config(), dataset(vocabulary, valid=3 * np.log(2), test=3 * np.log(4)))
    assert told == ["no model can be below the entropy floor: valid 2.00, test 4.00"]


def test_other_tokens_are_named():
    characters = CharacterVocabulary(["<eos>", "<unk>", " ", *"theca"])
    config = Config(data=DataConfig(level="char"))
    told = data_lines(config, dataset(characters, valid=3 * np.log(2), test=3 * np.log(4)))
    assert told == [
        "8 characters; perplexities during training are per character",
        "no model can be below the entropy floor: valid 2.00, test 4.00 per word",
    ]
