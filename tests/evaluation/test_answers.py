"""What answers are worth: costs, wrong answers, and whether a hop looked at a supporting sentence.

R restarts, B questions, S sentences, V words.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from memlm.config.models import AnswererConfig
from memlm.data.questions.encode import QuestionSet, encode, vocabulary
from memlm.evaluation import answers
from memlm.evaluation.answers import Answer, answer_all, finds_support, judge, support_share
from memlm.evaluation.inputs import Feed
from memlm.models.answerer import MemoryAnswerer
from tests.helpers.questions import random_questions

CPU = torch.device("cpu")


def test_nats_and_errors_by_hand():
    scores = torch.tensor([[[0.0, math.log(3), 0.0], [1.0, 0.0, 0.0], [math.nan] * 3, [0.0, 5.0, 0.0]]])
    nats, wrong = judge(scores, torch.tensor([[1, 2, 0, -1]]))
    assert nats[0, 0].item() == pytest.approx(math.log(5 / 3))
    assert nats[0, 1].item() == pytest.approx(math.log(math.e + 2))
    assert nats[0, 2].isnan()
    assert nats[0, 3] == math.inf  # an answer that training never gave
    assert wrong.tolist() == [[False, True, True, True]]


@pytest.fixture
def questions(rng: np.random.Generator) -> QuestionSet:
    asked = random_questions(rng, 11)
    return encode(asked, vocabulary(asked), memory_size=6)


def answerer(questions: QuestionSet, restarts: int) -> MemoryAnswerer:
    size = 1 + int(max(questions.answers.max(), questions.sentences.max(), questions.questions.max()))
    model = MemoryAnswerer(AnswererConfig(units=4, memory_size=6, init_std=0.7), size, restarts)
    model.initialise(1)
    return model


def test_answers_do_not_depend_on_how_many_are_asked_at_once(questions: QuestionSet, monkeypatch: pytest.MonkeyPatch):
    model = answerer(questions, 3)
    feed = Feed(questions, model, device=CPU)
    together = answer_all(model, feed, np.arange(11))
    assert together.nats.shape == together.wrong.shape == (3, 11)
    monkeypatch.setattr(answers, "AT_ONCE", 4)
    apart = answer_all(model, feed, np.array([np.arange(11)] * 3))
    np.testing.assert_allclose(apart.nats, together.nats, rtol=1e-5)
    assert apart.wrong.tolist() == together.wrong.tolist()


class Looking:
    """A model whose hops give the weights (K, B, S) that it is told."""

    restarts = 1

    def __init__(self, weights: list[list[list[float]]]) -> None:
        self.weights = [torch.tensor([hop]) for hop in weights]

    def __call__(self, asked: object) -> tuple[Tensor, tuple[Tensor, ...]]:
        return torch.zeros(1), tuple(self.weights)


def supported(*supporting: list[bool]) -> QuestionSet:
    count, ids = len(supporting), np.zeros((1, 1), np.int64)
    return QuestionSet(
        sentences=ids,
        stories=np.zeros((count, len(supporting[0])), np.int64),
        questions=np.zeros((count, 1), np.int64),
        answers=np.zeros(count, np.int64),
        supporting=np.array(supporting),
    )


def nothing_asked(numbers: object) -> None:
    """In the place of a feed."""


@pytest.mark.parametrize(
    ("hops", "looked"),
    [
        ([[0.1, 0.2, 0.7]], True),
        ([[0.7, 0.2, 0.1]], False),
        ([[0.7, 0.2, 0.1], [0.0, 0.1, 0.9]], True),  # one hop is enough
        ([[0.1, 0.2, 0.3]], False),  # the null memory has more: 0.4
        ([[0.2, 0.25, 0.3]], True),  # the null memory has less: 0.25
        ([[0.2, 0.7]], True),  # the story fills the last two slots
    ],
)
def test_a_hop_looks_at_the_sentence_with_the_highest_weight(hops: list[list[float]], looked: bool):
    questions = supported([False, False, True])
    model: Any = Looking([[weights] for weights in hops])
    feed: Any = nothing_asked
    found = finds_support(model, feed, questions)
    assert found is not None
    assert found.tolist() == [looked]


def test_the_share_is_of_questions_whose_supporting_sentences_are_known():
    questions = supported([True, False], [False, True], [False, False])
    model: Any = Looking([[[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]]])
    feed: Any = nothing_asked
    assert support_share(model, feed, questions) == 0.5
    one: Any = Looking([[[0.9, 0.1]]])
    assert support_share(one, feed, supported([False, False])) is None
    memoryless: Any = Looking([])
    assert finds_support(memoryless, feed, questions) is None
    assert support_share(memoryless, feed, questions) is None


ANSWER = Answer(
    question="where is mary",
    answer="hall",
    probability=0.5,
    words=["attic", "barn", "hall"],
    distribution=np.array([0.25, 0.25, 0.5]),
    sentences=["mary went to the hall"],
    attention=np.array([[0.75], [1.0000001]]),
    supporting=np.array([True]),
    expected="hall",
    forgotten=0,
)


def test_an_answer_tells_what_it_rests_on():
    assert ANSWER.nothing is not None
    assert ANSWER.nothing.tolist() == [0.25, 0]  # rounding makes no weight negative
    assert ANSWER.top(2) == [("hall", 0.5), ("attic", 0.25)]  # the first of equals
    assert ANSWER.to_dict()["likeliest"] == {"hall": 0.5, "attic": 0.25, "barn": 0.25}
    assert repr(ANSWER) == "<answer 'hall' to 'where is mary', probability 0.50>"


def test_an_answer_without_a_memory_tells_of_none():
    told = replace(ANSWER, attention=None, supporting=None).to_dict()
    assert told["attention"] is told["nothing"] is told["supporting"] is None
