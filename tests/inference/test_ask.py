"""Asking a model: the answer is the forward pass's, and every weight stands beside its own sentence."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from memlm.config.models import AnswererConfig
from memlm.data.questions.babi import Question, parse, question_about
from memlm.data.questions.encode import QuestionSet, encode, vocabulary
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError
from memlm.evaluation import answers as support
from memlm.evaluation.inputs import Feed
from memlm.evaluation.plots import story
from memlm.inference.ask import ask
from memlm.models.answerer import MemoryAnswerer
from tests.helpers.questions import random_questions

CPU = torch.device("cpu")


def answerer(words: WordList, **settings: object) -> MemoryAnswerer:
    config = AnswererConfig().replace({"units": 8, "memory_size": 6, "init_std": 0.6} | settings)
    model = MemoryAnswerer(config, len(words), 1)
    model.initialise(5)
    return model


def test_the_answer_is_the_highest_of_the_distribution(rng: np.random.Generator):
    asked = random_questions(rng)
    words = vocabulary(asked)
    model = answerer(words)
    encoded = encode(asked, words, memory_size=6)
    with torch.no_grad():
        scores, _ = model(Feed(encoded, model, device=CPU)(np.arange(len(asked))[None]))
    for q, question in enumerate(asked):
        answer = ask(model, words, question)
        expected = scores[0, q].double().softmax(0).numpy()
        np.testing.assert_allclose(answer.distribution, expected, atol=1e-5)
        assert answer.answer == words.words[expected.argmax()]
        assert answer.probability == answer.distribution.max()
        assert answer.top(3)[0] == (answer.answer, answer.probability)
        assert [p for _, p in answer.top(3)] == sorted(answer.distribution, reverse=True)[:3]
        assert answer.expected == question.answer


def test_every_sentence_that_is_kept_has_its_weights(rng: np.random.Generator):
    for question in random_questions(rng):
        words = vocabulary([question, *random_questions(rng)])
        model = answerer(words)
        answer = ask(model, words, question)
        assert answer.attention is not None
        assert answer.supporting is not None
        assert answer.attention.shape == (3, len(answer.sentences))
        assert answer.sentences == [" ".join(said) for said in question.story[-6:]]
        assert answer.forgotten == max(0, len(question.story) - 6)
        kept = {i - answer.forgotten for i in question.supporting if i >= answer.forgotten}
        assert set(np.flatnonzero(answer.supporting)) == kept


def test_what_no_sentence_gets_goes_to_the_null_memory(rng: np.random.Generator):
    asked = random_questions(rng)
    words = vocabulary(asked)
    with_null, without = (answerer(words, null_memory=null, init_std=0.2) for null in (True, False))
    for question in asked:
        one, other = ask(with_null, words, question), ask(without, words, question)
        assert one.attention is not None
        assert one.nothing is not None
        assert other.nothing is not None
        np.testing.assert_allclose(other.nothing, 0, atol=1e-6)
        assert (one.nothing > 0.01).all()
        # At the first hop the sentences have the same scores either way: only their share is less.
        assert other.attention is not None
        np.testing.assert_allclose(one.attention[0] / (1 - one.nothing[0]), other.attention[0], atol=1e-5)


def test_a_sentence_that_is_forgotten_changes_nothing(rng: np.random.Generator):
    asked = random_questions(rng)
    words, model = vocabulary(asked), answerer(vocabulary(asked))
    long = next(question for question in asked if len(question.story) == 9)
    other = replace(long, story=(("john", "went", "to", "the", "hall"), *long.story[1:]))
    last = replace(long, story=(*long.story[:-1], ("john", "is", "where")))
    answers = [ask(model, words, question).distribution for question in (long, other, last)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_an_unknown_word_is_refused_with_its_place(rng: np.random.Generator):
    words = vocabulary(random_questions(rng))
    model = answerer(words)
    with pytest.raises(MemlmError, match=r"^the question: unknown word 'apple'"):
        ask(model, words, question_about([b"mary went to the hall"], "where is the apple", "story.txt"))
    with pytest.raises(MemlmError, match=r"^story.txt, line 2: unknown word 'apple'"):
        ask(
            model,
            words,
            question_about([b"mary went to the hall", b"john went to the apple"], "where is mary", "story.txt"),
        )


def by_hand(model: MemoryAnswerer, words: WordList, question: Question) -> bool:
    """Whether some hop's highest weight is on a supporting sentence, from the printed attention."""
    answer = ask(model, words, question)
    assert answer.attention is not None
    assert answer.supporting is not None
    assert answer.nothing is not None
    hops = zip(answer.attention, answer.nothing, strict=True)
    return any(answer.supporting[row.argmax()] and row.max() > nothing for row, nothing in hops)


def test_a_hop_that_looks_most_at_nothing_looks_at_no_sentence(rng: np.random.Generator):
    asked = parse([b"1 mary went to the hall.", b"2 where is mary?\thall\t1"], "made")
    words = vocabulary(asked)
    model = answerer(words, hops=1, temporal_encoding=False)
    encoded = encode(asked, words, memory_size=6)
    feed = Feed(encoded, model, device=CPU)
    seen = []
    for sign in (1, -1):  # the only sentence has a score above that of the null memory, 0, or below it
        with torch.no_grad():
            model.embeddings[0].fill_(sign * 0.1)
            model.embeddings[0][:, :, 4:] = 0
            model.embeddings[0][:, words.words.index("where")] = 0.1
            model.embeddings[0][:, words.words.index("is")] = 0.1
        nothing = ask(model, words, asked[0]).nothing
        assert nothing is not None
        seen.append((nothing[0] < 0.5, support.finds_support(model, feed, encoded)))
    assert [above for above, _ in seen] == [True, False]
    assert [None if found is None else found.tolist() for _, found in seen] == [[True], [False]]


def test_looking_at_support_is_what_the_attention_shows(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(support, "AT_ONCE", 7)  # several pieces, of which one may hold short stories alone
    asked = random_questions(rng, 30)
    words = vocabulary(asked)
    model = answerer(words)
    encoded = encode(asked, words, memory_size=6)
    feed = Feed(encoded, model, device=CPU)
    expected = [by_hand(model, words, question) for question in asked]
    assert 0 < sum(expected) < 30
    found = support.finds_support(model, feed, encoded)
    assert found is not None
    assert found.tolist() == expected
    assert support.support_share(model, feed, encoded) == pytest.approx(np.mean(expected))
    unknown = QuestionSet(**(vars(encoded) | {"supporting": np.zeros_like(encoded.supporting)}))
    assert support.support_share(model, feed, unknown) is None


def test_a_story_is_drawn(rng: np.random.Generator):
    asked = random_questions(rng)
    words = vocabulary(asked)
    answer = ask(answerer(words, init_std=0.2), words, next(q for q in asked if len(q.story) < 5))
    figure = story.attention_over_story(answer)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [*answer.sentences, "(no sentence)"]
    assert answer.attention is not None
    drawn = np.asarray(ax.images[0].get_array())
    np.testing.assert_array_equal(drawn[:-1], answer.attention.T)
    np.testing.assert_array_equal(drawn[-1], answer.nothing)
    assert answer.supporting is not None
    bold = [label.get_fontweight() == "bold" for label in ax.get_yticklabels()]
    assert bold == [*answer.supporting, False]
    with pytest.raises(MemlmError, match="no memory to attend to"):
        story.attention_over_story(replace(answer, attention=None))
