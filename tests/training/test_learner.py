"""What all learners have in common: which restart is the best, the end, the sums, and restarts that are dropped."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from memlm.config.training import TrainConfig
from memlm.data import dataset
from memlm.models.base import StoredModel
from memlm.runs import checkpoint
from memlm.training.interfaces import DivergedError
from memlm.training.learner import Learner, norms_of_restarts
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Annealing
from tests.helpers.training import MEMORY, reopen, run_fit, start, with_train


class Rates:
    """In place of the optimizer: it notes the rates."""

    def set_rates(self, rates: list[float]) -> None:
        self.rates = rates


class Restarts(Learner):
    """Restarts without a model: of each step, the test tells the nats."""

    sums = ("nats", "clipped")

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config, torch.device("cpu"), lambda: Annealing.begin(config))
        self.optimizer: Any = Rates()

    def step(self, batch: Any) -> None:
        nats = torch.tensor(batch, dtype=torch.float64)
        self._sums[:-1] += torch.stack([nats, torch.ones_like(nats)])
        self._sums[-1] += self._sums[:-1].sum(0).isfinite()
        for progress in self.progress:
            if progress.diverged is None:
                progress.step += 1
                progress.totals.steps += 1

    def batches(self) -> Iterator[Any]:
        return iter(())

    def validate(self, tick: Any) -> bool:
        raise NotImplementedError

    def line(self, epoch: int) -> dict[str, Any]:
        return {"epoch": epoch}

    def points(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        return dict(metrics)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {}, {}

    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        raise NotImplementedError

    def extract(self) -> StoredModel:
        raise NotImplementedError

    def start_from(self, state: checkpoint.Checkpoint) -> None:
        raise NotImplementedError

    def parameter_norms(self) -> list[float]:
        return [1.0 for _ in self.progress]


CONFIG = TrainConfig(restarts=3, seed=4, epochs=2, lr=0.5)


@pytest.fixture
def learner() -> Restarts:
    return Restarts(CONFIG)


def end_epoch(progress: Progress, cost: float) -> None:
    progress.end_epoch(CONFIG, {}, cost, {"valid_perplexity": cost})


def test_each_restart_has_a_seed_and_progress_of_its_own(learner: Restarts):
    assert [progress.seed for progress in learner.progress] == [4, 5, 6]
    end_epoch(learner.progress[1], 3.0)
    assert [progress.epoch for progress in learner.progress] == [0, 1, 0]
    assert (learner.epoch, learner.history) == (1, [{"epoch": 1}])


def test_the_best_restart_is_that_of_the_lowest_cost_and_the_earliest_epoch(learner: Restarts):
    first, second, third = learner.progress
    assert (learner.best_restart, learner.best, learner.about_best) == (None, None, {})
    end_epoch(first, 3.0)
    end_epoch(second, 3.0)
    assert learner.best_restart == 0
    end_epoch(third, 4.0)
    end_epoch(first, 2.0)
    end_epoch(third, 2.0)
    assert learner.best_restart == 0
    end_epoch(second, 1.0)
    assert learner.best is second
    assert learner.about_best == {"valid_perplexity": 1.0, "seed": 5}


def test_the_only_restart_does_not_say_its_seed():
    alone = Restarts(CONFIG.replace({"restarts": 1}))
    end_epoch(alone.progress[0], 3.0)
    assert alone.about_best == {"valid_perplexity": 3.0}


def test_training_ends_with_the_last_restart_that_did_not_diverge(learner: Restarts):
    first, second, third = learner.progress
    for progress in (first, second):
        end_epoch(progress, 3.0)
        end_epoch(progress, 2.0)
    assert learner.finished == ""
    third.drop(5)
    assert learner.finished == "epochs"
    learner.config = CONFIG.replace({"max_steps": 1})
    second.step = 1
    assert learner.finished == "max_steps"  # the first of the reasons of all


def test_sums_are_those_of_all_steps_until_they_are_read(learner: Restarts):
    learner.step([1.0, 2.0, 3.0])
    learner.step([1.5, 2.5, 3.5])
    learner.settle()
    assert [progress.totals.nats for progress in learner.progress] == [2.5, 4.5, 6.5]
    learner.step([1.0, 1.0, 1.0])
    learner.settle()
    assert [progress.totals.nats for progress in learner.progress] == [3.5, 5.5, 7.5]
    assert [progress.totals.clipped for progress in learner.progress] == [3, 3, 3]
    assert type(learner.progress[0].totals.clipped) is int
    assert (learner.steps, learner.steps_done) == (3, 3)
    learner.steps_in_epoch = 3
    assert learner.epoch_is_whole


def test_seconds_are_counted_from_the_start_of_the_clock(learner: Restarts, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("memlm.training.learner.time.perf_counter", lambda: now[0])
    learner.start_clock()
    learner.step([1.0, 1.0, 1.0])
    now[0] = 102.0
    learner.settle()
    now[0] = 103.5
    learner.settle()
    assert [progress.totals.seconds for progress in learner.progress] == [3.5, 3.5, 3.5]


def test_a_restart_is_dropped_at_the_step_that_was_not_finite(learner: Restarts, caplog: pytest.LogCaptureFixture):
    learner.step([1.0, 1.0, 1.0])
    learner.step([1.0, math.nan, 1.0])
    learner.step([1.0, 1.0, 1.0])  # before the sums are read
    learner.settle()
    dropped = learner.progress[1]
    assert (dropped.diverged, dropped.step, dropped.totals) == (2, 2, Totals())
    assert learner.optimizer.rates == [0.5, 0.0, 0.5]
    message = (
        "the restart of seed 5 is left out: the loss or its gradient is not finite at step 2, at learning rate 0.5"
    )
    assert caplog.messages == [message]
    learner.step([1.0, math.inf, 1.0])
    learner.settle()  # it is not dropped again
    assert [progress.totals.nats for progress in learner.progress] == [4.0, 0.0, 4.0]
    assert len(caplog.messages) == 1


def test_where_none_is_left_the_last_one_is_named(learner: Restarts):
    learner.step([1.0, math.inf, 1.0])
    learner.settle()
    learner.step([math.nan, 1.0, math.nan])
    with pytest.raises(DivergedError, match=r"no restart is left: of seed 6, the loss .* at step 2, .* rate 0\.5"):
        learner.settle()


def test_a_single_model_is_not_dropped_but_an_error():
    alone = Restarts(CONFIG.replace({"restarts": 1}))
    alone.step([math.nan])
    with pytest.raises(
        DivergedError, match=r"^the loss or its gradient is not finite at step 1, at learning rate 0\.5"
    ):
        alone.settle()
    assert alone.progress[0].diverged is None


def test_half_the_rate_of_all_is_counted(learner: Restarts):
    learner.progress[2].drop(1)
    learner.halve()
    assert learner.optimizer.rates == [0.25, 0.25, 0.0]
    assert [progress.halvings for progress in learner.progress] == [1, 1, 1]


def test_norms_are_of_all_parameters_of_a_restart():
    model: Any = torch.nn.Module()
    model.a = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
    model.b = torch.nn.Parameter(torch.tensor([[[2.0]], [[4.0]]]))
    assert norms_of_restarts(model) == [3.0, 5.0]


def test_a_state_goes_on_with_its_sums_and_rates(corpus: Path, tmp_path: Path):
    data = dataset.load_dataset(str(corpus))
    config = with_train(MEMORY, epochs=1)
    learner, run = start(config, data, tmp_path / "run")
    for batch in list(learner.batches())[:5]:
        learner.step(batch)
    learner.save(run)
    again = reopen(config, data)
    again.load(run)
    again.settle()
    found, wanted = again.progress[0].totals, learner.progress[0].totals
    assert (found.nats, found.grad_norm, found.steps) == (wanted.nats, wanted.grad_norm, 5)
    assert run_fit(again, run) == "epochs"
