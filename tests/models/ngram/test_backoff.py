"""Tables of n-grams by hand: words 0 to 3; bigrams 1 2, 1 3 and 2 1; the trigram 1 2 1."""

import math

import pytest
import torch
from torch import Tensor

from memlm.models.ngram.backoff import BackoffHead, Table

V = 4
UNIGRAMS = [0.1, 0.2, 0.3, 0.4]


def fill(table: Table, keys: list[int], p: list[float], backoff: list[float]) -> None:
    table.keys = torch.tensor(keys)
    table.log_p, table.log_backoff = (torch.tensor(values, dtype=torch.float64).log() for values in (p, backoff))


@pytest.fixture
def head() -> BackoffHead:
    head = BackoffHead(V, 3)
    fill(head.table(1), [0, 1, 2, 3], UNIGRAMS, [1.0, 0.5, 0.25, 1.0])
    fill(head.table(2), [1 * V + 2, 1 * V + 3, 2 * V + 1], [0.6, 0.7, 0.8], [0.125, 1.0, 1.0])
    fill(head.table(3), [0 * V + 1], [0.9], [1.0])  # its context, 1 2, is the first of the bigrams
    return head


CONTEXTS = torch.tensor([[1, 2], [3, 2], [0, 3], [-1, 1], [-1, -1]])
P = [
    [0.25 * 0.125 * 0.1, 0.9, 0.25 * 0.125 * 0.3, 0.25 * 0.125 * 0.4],  # after 1 2
    [0.25 * 0.1, 0.8, 0.25 * 0.3, 0.25 * 0.4],  # after 3 2, which is not known: as after 2
    UNIGRAMS,  # after 0 3: nothing is known after 3
    [0.5 * 0.1, 0.5 * 0.2, 0.6, 0.7],  # after 1 at the start of a text
    UNIGRAMS,  # at the start of a text
]


def test_a_word_has_the_probability_of_its_longest_n_gram_times_backoffs(head: BackoffHead):
    found = head.log_probabilities(CONTEXTS)
    torch.testing.assert_close(found.exp(), torch.tensor(P, dtype=torch.float64))


@pytest.mark.parametrize("word", range(V))
def test_the_nats_of_targets_are_those_of_the_distribution(head: BackoffHead, word: int):
    targets = torch.full((len(CONTEXTS),), word)
    torch.testing.assert_close(head.nats(CONTEXTS, targets), -head.log_probabilities(CONTEXTS)[:, word])


def test_before_it_is_filled_all_words_are_as_likely():
    found: Tensor = BackoffHead(V, 3).log_probabilities(CONTEXTS)
    torch.testing.assert_close(found, torch.full_like(found, -math.log(V)))


def test_n_grams_are_found_by_context_and_word(head: BackoffHead):
    table = head.table(2)
    assert len(table) == 3
    assert table.find(torch.tensor([1, 1, 2, 3, -1]), torch.tensor([2, 3, 1, 3, 2])).tolist() == [0, 1, 2, -1, -1]
    assert table.words(torch.tensor([0, 2])).tolist() == [2, 1]
    assert table.backoff(torch.tensor([0, -1])).exp().tolist() == pytest.approx([0.125, 1.0])
    rows, indices = table.continuations(torch.tensor([2, 0, 1, -1]))
    assert rows.tolist() == [0, 2, 2]
    assert indices.tolist() == [2, 0, 1]
