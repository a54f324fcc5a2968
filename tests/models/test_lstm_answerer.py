"""The LSTM baseline for questions, against nn.LSTM.

R restarts, B questions, S sentences, W words, V words of the vocabulary, D units.
"""

import pytest
import torch
from torch import Tensor, nn

from memlm.config.models import LSTMAnswererConfig
from memlm.models.answerer import QuestionBatch
from memlm.models.lstm_answerer import LSTMAnswerer, words_in_order

R, V, D = 2, 9, 5


@pytest.fixture
def asked() -> QuestionBatch:
    """For both restarts: a story of two sentences, and one of one sentence; restart 1 has them in another order."""
    sentences = torch.tensor([[[1, 2, 3], [4, -1, -1]], [[4, -1, -1], [1, 2, 3]]])
    stories = torch.tensor([[[0, 1], [1, 1]], [[1, 0], [0, 0]]])
    filled = torch.tensor([[[True, True], [False, True]]] * R)
    questions = torch.tensor([[[5, 6, -1], [7, 8, 0]]] * R)
    return QuestionBatch(sentences, stories, torch.zeros_like(stories), filled, questions)


def test_words_come_in_the_order_of_the_story_and_then_the_question(asked: QuestionBatch):
    ids, lengths = words_in_order(asked)
    assert lengths.tolist() == [[6, 4]] * R
    assert ids.tolist() == [[[1, 2, 3, 4, 5, 6], [4, 7, 8, 0, 0, 0]]] * R


def reference(model: LSTMAnswerer, restart: int, words: list[int]) -> Tensor:
    """Scores (V,) by nn.LSTM with the same weights."""
    lstm = nn.LSTM(D, D, batch_first=True).double()
    inputs, recurrent, bias = model.inputs[restart], model.recurrent[restart], model.bias[restart]
    weights = {"weight_ih": inputs, "weight_hh": recurrent, "bias_ih": bias, "bias_hh": torch.zeros_like(bias)}
    lstm.load_state_dict({f"{name}_l0": weight for name, weight in weights.items()})
    with torch.no_grad():
        states, _ = lstm(model.embedding[restart][torch.tensor([words])])
        scores: Tensor = model.output[restart] @ states[0, -1]
    return scores


def test_scores_are_those_of_an_lstm_after_the_last_word(asked: QuestionBatch):
    model = LSTMAnswerer(LSTMAnswererConfig(units=D, init_std=0.8), V, R).double()
    model.initialise(3)
    scores, weights = model(asked)
    assert weights == ()
    assert scores.shape == (R, 2, V)
    for restart in range(R):
        for question, words in enumerate([[1, 2, 3, 4, 5, 6], [4, 7, 8, 0]]):
            torch.testing.assert_close(scores[restart, question], reference(model, restart, words))
    assert not torch.allclose(scores[0], scores[1])
