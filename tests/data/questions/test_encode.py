"""Questions as arrays: where each sentence lands, what is padding, and what is refused."""

import numpy as np
import pytest

from memlm.data.questions.babi import Question, parse
from memlm.data.questions.encode import EMPTY, UNSEEN, encode, hold_out, vocabulary
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError

TEXT = """1 Mary went home.
2 John left.
3 Where is Mary?\thome\t1
4 Mary went home.
5 Who left?\tjohn,mary\t2 4
1 Mary left.
2 Who left?\tmary\t1
"""


def questions(text: str = TEXT) -> list[Question]:
    return parse(text.encode().splitlines(keepends=True), "story.txt")


def test_the_vocabulary_holds_words_and_answers_once():
    words = "home is john john,mary left mary went where who"
    assert " ".join(vocabulary(questions()).words) == words


def test_every_sentence_is_found_again_in_its_slot():
    asked = questions()
    words = vocabulary(asked)
    encoded = encode(asked, words, memory_size=50)
    assert encoded.sentences.shape == (3, 3)  # U: the same sentence is there once
    assert encoded.stories.shape == (3, 3)

    def said(ids: np.ndarray) -> tuple[str, ...]:
        return tuple(words.words[i] for i in ids if i != EMPTY)

    for q, question in enumerate(asked):
        slots = encoded.stories[q]
        empty = len(slots) - len(question.story)
        assert (slots[:empty] == EMPTY).all()
        assert tuple(said(encoded.sentences[slot]) for slot in slots[empty:]) == question.story
        assert said(encoded.questions[q]) == question.words
        assert words.words[encoded.answers[q]] == question.answer
        assert set(np.flatnonzero(encoded.supporting[q]) - empty) == set(question.supporting)


def test_padding_stands_at_the_end_of_sentences_and_at_the_beginning_of_stories():
    encoded = encode(questions(), vocabulary(questions()), memory_size=50)
    assert (np.diff((encoded.sentences == EMPTY).astype(int), axis=1) >= 0).all()
    assert (np.diff((encoded.questions == EMPTY).astype(int), axis=1) >= 0).all()
    assert (np.diff((encoded.stories == EMPTY).astype(int), axis=1) <= 0).all()


def test_only_the_last_sentences_are_kept():
    asked = questions()
    whole, short = (encode(asked, vocabulary(asked), memory_size=size) for size in (50, 2))
    assert short.stories.shape == (3, 2)
    told = [[tuple(e.sentences[slot]) if slot >= 0 else None for slot in e.stories[1]] for e in (whole, short)]
    assert told[0][1:] == told[1]
    np.testing.assert_array_equal(whole.supporting[:, 1:], short.supporting)
    assert short.supporting[0].tolist() == [True, False]
    single = encode(asked, vocabulary(asked), memory_size=1)
    assert single.supporting.tolist() == [[False], [True], [True]]  # what has gone supports nothing


def test_an_answer_that_training_never_gave_is_no_class():
    asked = questions()
    words = WordList([word for word in vocabulary(asked).words if "," not in word])
    assert encode(asked, words, memory_size=50).answers.tolist() == [
        words.words.index("home"),
        UNSEEN,
        words.words.index("mary"),
    ]


@pytest.mark.parametrize(("word", "line"), [("left", 2), ("home", 1), ("where", 3)])
def test_an_unknown_word_is_named_with_its_line(word: str, line: int):
    asked = questions()
    words = WordList([known for known in vocabulary(asked).words if known != word])
    with pytest.raises(MemlmError, match=rf"^story.txt, line {line}: unknown word '{word}'"):
        encode(asked, words, memory_size=50)


def test_questions_are_taken_in_the_order_asked_for():
    encoded = encode(questions(), vocabulary(questions()), memory_size=50)
    taken = encoded.select(np.array([2, 0]))
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.stories, encoded.stories[[2, 0]])
    np.testing.assert_array_equal(taken.answers, encoded.answers[[2, 0]])
    np.testing.assert_array_equal(taken.sentences, encoded.sentences)
    assert taken.sha256 != encoded.sha256 == encode(questions(), vocabulary(questions()), memory_size=50).sha256


def test_a_tenth_is_held_out_by_the_seed():
    train, valid = hold_out(1000, seed=3, share=0.1)
    assert (len(train), len(valid)) == (900, 100)
    assert sorted([*train, *valid]) == list(range(1000))
    assert not np.array_equal(np.sort(valid), np.arange(900, 1000))
    for part, again in zip((train, valid), hold_out(1000, seed=3, share=0.1), strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(train, hold_out(1000, seed=4, share=0.1)[0])
