"""A loss that is not finite: the step is named, nothing bad is saved, and with `halve` training goes back and on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.dataset import TextDataset
from memlm.errors import MemlmError
from memlm.models.layers.head import SoftmaxHead
from memlm.runs import checkpoint
from memlm.training.interfaces import DivergedError
from memlm.training.text import SingleLearner
from tests.helpers.training import (
    MEMORY,
    RECURRENT,
    after_calls,
    go_on_and_end_like,
    reopen,
    run_fit,
    start,
)
from tests.helpers.training import with_train as with_settings


@pytest.fixture
def data(corpus: Path) -> TextDataset:
    return dataset.load_dataset(str(corpus))


def poison(patch: pytest.MonkeyPatch, *, step: int, what: str) -> None:
    """Make the loss, or a gradient, of a step infinite; steps are counted from now on."""
    real, count = SoftmaxHead.backward, 0

    def backward(head: SoftmaxHead, *args: Any) -> Any:
        nonlocal count
        count += 1
        nats, grad = real(head, *args)
        if count == step:
            (nats if what == "loss" else grad).view(-1)[0] = float("inf" if what == "loss" else "nan")
        return nats, grad

    patch.setattr(SoftmaxHead, "backward", backward)


@pytest.mark.parametrize("config", [MEMORY, RECURRENT], ids=["memn2n", "lstm"])
@pytest.mark.parametrize(("step", "what"), [(1, "loss"), (27, "gradient"), (43, "loss")])
def test_the_exact_step_is_named_and_the_last_good_state_goes_on(
    config: Config, step: int, what: str, data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = with_settings(config, checkpoint_every="10")
    straight, run = start(config, data, tmp_path / "straight")
    assert run_fit(straight, run) == "epochs"
    broken, folder = start(config, data, tmp_path / "broken")
    with monkeypatch.context() as patch:
        poison(patch, step=step, what=what)
        with pytest.raises(DivergedError, match=rf"at step {step}, at learning rate 0\.\d+; .*last, of step \d+, is"):
            run_fit(broken, folder)
    good = checkpoint.read(folder.last)
    assert step - 10 <= good.step < step
    assert all(tensor.isfinite().all() for tensor in good.model.values())
    go_on_and_end_like(straight, run, folder, config, data)


def test_what_is_not_finite_is_never_saved(data: TextDataset, tmp_path: Path):
    training, run = start(MEMORY, data, tmp_path / "run")
    training.save(run)
    with torch.no_grad():
        next(training.head.parameters())[0, 0] = float("inf")
    with pytest.raises(DivergedError, match="the norm of the weights is not finite at step 0"):
        training.save(run)
    assert checkpoint.read_this(run.last).model["head.weight"].isfinite().all()
    assert not checkpoint.previous(run.last).exists()


def diverges_above(patch: pytest.MonkeyPatch, rate: float, *, after: int) -> None:
    """Every step after number `after` has an infinite loss at a learning rate above `rate`."""
    real = SingleLearner.step

    def step(training: SingleLearner, batch: Any) -> None:
        real(training, batch)
        if training.optimizer.rates[0] > rate and training.steps > after:
            training._sums[0] = float("nan")
            training._sums[4] -= 1

    patch.setattr(SingleLearner, "step", step)


def test_halve_goes_back_with_half_the_rate_which_a_resume_keeps(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    config = with_settings(MEMORY, on_divergence="halve", lr=0.05)
    diverges_above(monkeypatch, 0.02, after=30)
    whole, run = start(config, data, tmp_path / "whole")
    assert run_fit(whole, run) == "epochs"
    assert [line["halvings"] for line in run.metrics()] == [0, 2, 2]
    assert [line["lr"] for line in run.metrics()] == [0.05, 0.0125, 0.0125]
    first = run.metrics()[0]["step"]
    assert [f"going on from step {first} at half the rate" in line for line in caplog.messages] == [True, True]

    broken, folder = start(config, data, tmp_path / "broken")
    assert run_fit(broken, folder, after_calls(75)) == "stopped"  # after both halvings
    go_on_and_end_like(whole, run, folder, config, data)


def test_the_rate_is_halved_five_times_at_most(data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    diverges_above(monkeypatch, 0.0, after=25)
    training, run = start(with_settings(MEMORY, on_divergence="halve"), data, tmp_path / "run")
    with pytest.raises(MemlmError, match=r"learning rate 0\.001563, which was halved 5 times; .* is the last good"):
        run_fit(training, run)
    resumed = reopen(MEMORY, data)
    resumed.load(run)
    assert (resumed.progress[0].halvings, resumed.progress[0].scheduled_rate(MEMORY.train)) == (5, 0.05 / 32)


def test_a_stop_that_is_asked_for_is_heeded_after_going_back(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    diverges_above(monkeypatch, 0.03, after=5)
    training, run = start(with_settings(MEMORY, on_divergence="halve"), data, tmp_path / "run")
    assert run_fit(training, run, after_calls(8)) == "stopped"
    assert checkpoint.read(run.last).meta["progress"]["halvings"] == 1


@pytest.mark.parametrize("restarts", [1, 2])
def test_weights_that_are_not_finite_after_the_last_step_are_not_saved(
    restarts: int, data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = with_settings(MEMORY, max_steps=3, restarts=restarts)
    training, run = start(config, data, tmp_path / "run")
    real = type(training).step

    def step(learner: Any, batch: Any) -> None:
        real(learner, batch)
        if learner.steps == 3:
            with torch.no_grad():
                next(learner.head.parameters()).fill_(float("inf"))

    monkeypatch.setattr(type(training), "step", step)
    with pytest.raises(
        DivergedError, match=r"the norm of the weights is not finite at step 3, at learning rate 0\.05"
    ):
        run_fit(training, run)
    assert checkpoint.read_this(run.last).step == 0
