"""The progress of a restart: its counts, its best epoch, its end, and the form in which a checkpoint holds it."""

import dataclasses
from typing import Any

import pytest

from memlm.config.training import TrainConfig
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Annealing

CONFIG = TrainConfig(lr=1.0, anneal_factor=2.0, epochs=3)


@pytest.fixture
def progress() -> Progress:
    """A restart within its first epoch."""
    totals = Totals(nats=6.0, targets=3, steps=3)
    return Progress(seed=5, schedule=Annealing.begin(CONFIG), step=3, totals=totals)


def end_epoch(progress: Progress, cost: float) -> None:
    progress.end_epoch(CONFIG, {"step": progress.step}, cost, {"valid_perplexity": cost})


def test_what_came_since_is_the_difference_of_every_sum():
    sums = {f.name: index for index, f in enumerate(dataclasses.fields(Totals), start=2)}
    later = Totals(**{name: 3 * value for name, value in sums.items()})
    assert later.since(Totals(**sums)) == Totals(**{name: 2 * value for name, value in sums.items()})


def test_the_end_of_an_epoch_begins_new_sums_and_goes_by_the_schedule(progress: Progress):
    progress.logged = Totals(steps=2)
    assert progress.logged_step == 2
    end_epoch(progress, 4.0)
    assert (progress.totals, progress.logged) == (Totals(), Totals())
    assert (progress.epoch, progress.step, progress.logged_step) == (1, 3, 3)
    assert progress.history == [{"step": 3}]
    progress.step = 6
    end_epoch(progress, 5.0)  # no better than the epoch before
    assert progress.rate(CONFIG) == 0.5


def test_of_equal_costs_the_first_is_the_best(progress: Progress):
    found: list[tuple[int, float | None, int | None, bool]] = []
    assert progress.best_step is None
    for number, cost in enumerate((4.0, 4.0, 3.0, 5.0), start=1):
        progress.step = 3 * number
        end_epoch(progress, cost)
        found.append((progress.best_epoch, progress.best_cost, progress.best_step, progress.is_best))
    assert found == [(1, 4.0, 3, True), (1, 4.0, 3, False), (3, 3.0, 9, True), (3, 3.0, 9, False)]
    assert progress.best == {"valid_perplexity": 3.0}


def test_a_restart_that_has_ended_or_diverged_has_no_rate(progress: Progress):
    assert progress.trains(CONFIG)
    for number in (1, 2, 3):
        assert progress.rate(CONFIG) == 1.0
        progress.step = 3 * number
        end_epoch(progress, 1 / number)
    assert (progress.finished(CONFIG), progress.rate(CONFIG), progress.scheduled_rate(CONFIG)) == ("epochs", 0.0, 1.0)
    assert progress.trains(TrainConfig(lr=1.0, epochs=4))
    progress.drop(10)
    assert not progress.trains(TrainConfig(lr=1.0, epochs=4))


def test_the_epoch_in_which_a_restart_diverges_does_not_count(progress: Progress):
    progress.drop(2)
    assert (progress.diverged, progress.step, progress.epoch) == (2, 2, 0)
    assert (progress.totals, progress.logged) == (Totals(), Totals())


def as_stored(progress: Progress) -> dict[str, Any]:
    """As a learner's state has it, whose schedule is read by the learner."""
    return dataclasses.asdict(progress) | {"schedule": progress.schedule}


def test_it_is_read_as_it_was_written(progress: Progress):
    end_epoch(progress, 4.0)
    progress.step, progress.totals, progress.logged = 5, Totals(steps=2, nats=1.5), Totals(steps=1)
    assert Progress.from_dict(as_stored(progress)) == progress


def test_in_a_state_of_the_first_release_all_steps_count_as_reported(progress: Progress):
    stored = as_stored(progress)
    del stored["logged"], stored["diverged"]
    found = Progress.from_dict(stored)
    assert found.logged == progress.totals
    assert (found.logged_step, found.diverged) == (3, None)


@pytest.mark.parametrize("lacking", ["seed", "totals"])
def test_what_is_no_progress_is_an_error(lacking: str, progress: Progress):
    stored = as_stored(progress)
    del stored[lacking]
    with pytest.raises((KeyError, TypeError)):
        Progress.from_dict(stored)
