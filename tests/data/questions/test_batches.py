"""What a step reads: its own sentences, each once, and the empty memories of random noise."""

import numpy as np
import pytest

from memlm.data.questions.batches import add_blanks, plan_question_epoch, unique_rows


def test_different_rows_are_each_once_and_found_again(rng: np.random.Generator):
    rows = rng.integers(20, size=(3, 4, 5))
    table, places = unique_rows(rows, 20)
    for restart in range(3):
        used = sorted(set(rows[restart].ravel().tolist()))
        assert table[restart, : len(used)].tolist() == used
        np.testing.assert_array_equal(table[restart][places[restart]], rows[restart])


def test_blanks_make_older_sentences_older(rng: np.random.Generator):
    """Against inserting them into a list, the most recent sentence first."""
    S, memory_size, most = 6, 8, 3
    blanks = rng.integers(most + 1, size=(2, 5))
    places = rng.integers(S + np.arange(most) + 1, size=(2, 5, most))
    times = np.broadcast_to(np.arange(S)[::-1], (2, 5, S))
    found = add_blanks(times, blanks, places, memory_size)
    for r, b in np.ndindex(2, 5):
        memory: list[int | None] = list(range(S))
        for place in places[r, b, : blanks[r, b]]:
            memory.insert(int(place), None)
        expected = [min(memory.index(age), memory_size - 1) for age in reversed(range(S))]
        assert found[r, b].tolist() == expected


def test_an_epoch_has_every_question_once_and_depends_on_seed_and_epoch_alone():
    train = np.array([[0, 2, 4, 6, 5, 3], [1, 2, 3, 4, 5, 6]])
    lengths = np.array([1, 5, 10, 3, 11, 2, 7])
    plan = plan_question_epoch(train, lengths, seeds=[8, 9], epoch=3, noise=0.1)
    assert [sorted(order) for order in plan.order.tolist()] == [sorted(numbers) for numbers in train.tolist()]
    alone = plan_question_epoch(train[1:], lengths, seeds=[9], epoch=3, noise=0.1)
    for many, one in zip(plan, alone, strict=True):
        np.testing.assert_array_equal(many[1:], one)
    other = plan_question_epoch(train[1:], lengths, seeds=[9], epoch=4, noise=0.1)
    assert not np.array_equal(other.order, alone.order)


def test_up_to_a_tenth_of_a_story_is_added_rounded_up():
    lengths = np.array([1, 10, 11, 50])
    train = np.arange(4)[None]
    blanks: dict[int, set[int]] = {1: set(), 10: set(), 11: set(), 50: set()}
    for epoch in range(200):
        plan = plan_question_epoch(train, lengths, seeds=[1], epoch=epoch, noise=0.1)
        for length, blank in zip(lengths[plan.order[0]].tolist(), plan.blanks[0].tolist(), strict=True):
            blanks[length].add(blank)
    assert blanks == {1: {0, 1}, 10: {0, 1}, 11: {0, 1, 2}, 50: {0, 1, 2, 3, 4, 5}}
    silent = plan_question_epoch(train, lengths, seeds=[1], epoch=0, noise=0.0)
    assert silent.blanks.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_blank_before_the_newest_moves_all_and_one_after_the_oldest_none(place: int):
    times = np.arange(6)[::-1].reshape(1, 1, 6)
    moved = add_blanks(times, np.array([[1]]), np.array([[[place]]]), 10)
    assert (moved - times).sum() == 6 - place
