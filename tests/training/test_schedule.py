"""Learning rates: annealed as the reference code does, halved as the paper says, and after a linear start."""

import math

import pytest

from memlm.config.training import QATrainConfig, TrainConfig
from memlm.training.schedule import Annealing, Halving


def rates_after(annealing: Annealing, config: TrainConfig, costs: list[float]) -> list[float]:
    rates = []
    for epoch, cost in enumerate(costs, 1):
        annealing.epoch_ended(config, epoch, cost)
        rates.append(annealing.rate(config))
    return rates


def test_the_rate_is_annealed_against_the_previous_epoch_not_the_best():
    config = TrainConfig(lr=1.0, anneal_factor=2)
    rates = rates_after(Annealing.begin(config), config, [5.0, 4.0, 6.0, 5.0, 4.9999, 4.0])
    # 6 > 4: halved; 5 < 6 though above the best; 4.9999 is within 0.9999 of 5: halved
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_cost_of_exactly_9999_parts_of_the_previous_one_improves():
    """As in the reference code, which divides the rate above it."""
    config = TrainConfig(lr=1.0, anneal_factor=2)
    assert rates_after(Annealing.begin(config), config, [1.0, 0.9999 * 1.0]) == [1, 1]
    above = math.nextafter(0.9999 * 1.0, 2)
    assert rates_after(Annealing.begin(config), config, [1.0, above]) == [1, 0.5]


def test_a_schedule_anneals_after_every_epoch_from_one_on():
    config = TrainConfig(lr=1.0, anneal_factor=2, anneal_after=2)
    assert rates_after(Annealing.begin(config), config, [1.0, 0.5, 0.3]) == [1, 0.5, 0.25]


def test_training_stops_below_the_smallest_rate_and_not_at_it():
    config = TrainConfig(lr=1.0, min_lr=0.25, anneal_factor=2, anneal_after=1)
    annealing = Annealing.begin(config)
    ends = []
    for epoch in (1, 2, 3):
        annealing.epoch_ended(config, epoch, 1.0)
        ends.append(annealing.finished(config, epoch=epoch, step=9))
    assert ends == ["", "", "min_lr"]


@pytest.mark.parametrize(
    ("epoch", "step", "why"), [(2, 9, ""), (3, 9, "epochs"), (2, 10, "max_steps"), (3, 10, "max_steps")]
)
def test_training_ends_at_its_last_epoch_or_step(epoch: int, step: int, why: str):
    config = TrainConfig(epochs=3, max_steps=10)
    assert Annealing.begin(config).finished(config, epoch=epoch, step=step) == why


def test_a_linear_start_ends_when_the_validation_cost_stops_falling():
    config = QATrainConfig(
        restarts=1, linear_start="validation", linear_patience=2, linear_epochs=5, linear_lr=0.3, lr=0.1, epochs=3
    )
    for costs, length in (
        ([9.0, 8.0, 8.5, 8.5, 0.1, 0.1, 0.1], 4),  # no new low in epochs 3 and 4
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0], 5),  # five at most
        ([9.0, 9.0, 9.0, 1.0, 1.0, 1.0], 3),  # an equal cost is no new low
    ):
        schedule, straight, rates = Halving.begin(config), [], []
        for cost in costs:
            assert not schedule.finished(config, epoch=0, step=0)
            straight.append(schedule.straight)
            rates.append(schedule.rate(config))
            schedule.epoch_ended(config, 0, cost)
        assert straight == [True] * length + [False] * 3
        assert rates == [0.3] * length + [0.1] * 3
        assert schedule.finished(config, epoch=0, step=0) == "epochs"
        assert schedule.rate(config) == 0


def test_a_linear_start_of_fixed_epochs_ignores_the_cost():
    config = QATrainConfig(restarts=1, linear_start="fixed", linear_patience=1, linear_epochs=3)
    schedule = Halving.begin(config)
    for _ in range(3):
        assert schedule.straight
        schedule.epoch_ended(config, 0, math.nan)
    assert not schedule.straight


def test_the_rate_is_halved_every_so_many_epochs():
    config = QATrainConfig(restarts=1, lr=0.08, halve_every=2, epochs=5, linear_start="no")
    schedule, rates = Halving.begin(config), []
    for _ in range(6):
        rates.append(schedule.rate(config))
        schedule.epoch_ended(config, 0, 1.0)
    assert rates == [0.08, 0.08, 0.04, 0.04, 0.02, 0.0]


def test_a_divergence_halves_the_rates_of_both_parts():
    config = QATrainConfig(restarts=1, lr=0.08, linear_lr=0.04, linear_start="fixed", linear_epochs=1)
    schedule = Halving.begin(config)
    schedule.halve()
    assert schedule.rate(config) == 0.02
    schedule.epoch_ended(config, 0, 1.0)
    assert schedule.rate(config) == 0.04
