"""Batches and questions as tensors.

R restarts, B questions, S memory slots.
"""

import numpy as np
import pytest
import torch

from memlm.config.models import LSTMAnswererConfig
from memlm.data.batches import Batch
from memlm.data.questions.babi import parse
from memlm.data.questions.encode import QuestionSet, encode, vocabulary
from memlm.evaluation.inputs import Feed, to_tensors
from memlm.models.lstm_answerer import LSTMAnswerer

CPU = torch.device("cpu")
LINES = [
    b"1 mary went to the hall.",
    b"2 where is mary?\thall\t1",
    b"3 john went to the barn.",
    b"4 mary went to the barn.",
    b"5 where is mary?\tbarn\t4",
]


def test_a_batch_is_on_the_device_with_its_values():
    batch = Batch(np.array([[-1, 2]]), np.array([[2, 3]]))
    inputs, targets = to_tensors(batch, CPU)
    assert (inputs.tolist(), targets.tolist()) == ([[-1, 2]], [[2, 3]])
    assert inputs.dtype == targets.dtype == torch.int64


@pytest.fixture
def questions() -> QuestionSet:
    asked = parse(LINES, "made")
    return encode(asked, vocabulary(asked), memory_size=4)


@pytest.fixture
def feed(questions: QuestionSet) -> Feed:
    """For a model that reads the ids of the words themselves."""
    model = LSTMAnswerer(LSTMAnswererConfig(memory_size=4, units=3), 9, 2)
    return Feed(questions, model, device=CPU)


def test_each_restart_has_its_own_questions(feed: Feed, questions: QuestionSet):
    numbers = np.array([[0, 1], [1, 0]])
    asked = feed(numbers)
    assert asked.stories.shape == asked.times.shape == asked.filled.shape == (2, 2, 3)  # the longest of the stories
    assert asked.filled.tolist() == [[[False, False, True], [True] * 3], [[True] * 3, [False, False, True]]]
    for restart in range(2):
        for place, number in enumerate(numbers[restart]):
            assert asked.questions[restart, place].tolist() == questions.questions[number].tolist()
            told = questions.stories[number][questions.stories[number] >= 0]
            rows = asked.stories[restart, place][asked.filled[restart, place]]
            assert asked.sentences[restart][rows].tolist() == questions.sentences[told].tolist()
    assert feed.lengths.tolist() == [1, 3]
    assert feed.answers.tolist() == questions.answers.tolist()


def test_the_most_recent_sentence_has_time_0(feed: Feed):
    assert feed(np.array([[1], [1]])).times.tolist() == [[[2, 1, 0]]] * 2
    shorter = feed(np.array([[0], [0]]))
    assert shorter.times.tolist() == [[[0]]] * 2


def test_an_empty_memory_makes_older_sentences_older_up_to_the_oldest_time(feed: Feed):
    numbers, blanks = np.array([[1], [1]]), np.array([[1], [2]])
    places = np.array([[[1, 0]], [[0, 0]]])
    assert feed(numbers, blanks, places).times.tolist() == [[[3, 2, 0]], [[3, 3, 2]]]
