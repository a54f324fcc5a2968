"""Training: learns, is reproducible, and goes on after a stop exactly where it was."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memlm.config.models import KneserNeyConfig, LSTMConfig
from memlm.config.recipes import RECIPES, recipe
from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.batches import gather, plan_epoch
from memlm.data.dataset import TextDataset
from memlm.errors import MemlmError
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer
from memlm.training.learner import Learner
from memlm.training.loop import Due
from tests.helpers.repository import REPOSITORY
from tests.helpers.training import (
    MEMORY,
    RECURRENT,
    after_calls,
    go_on_and_end_like,
    reopen,
    run_fit,
    start,
    with_train,
    without_times,
)

ADAPTIVE = dataclasses.replace(MEMORY, model=MEMORY.model.replace({"softmax": "adaptive", "cutoffs": "3,8"}))
TIED_ADAPTIVE = dataclasses.replace(ADAPTIVE, model=ADAPTIVE.model.replace({"tying": "adjacent"}))
KINDS = ["memn2n", "lstm", "adaptive", "tied-adaptive"]


@pytest.fixture
def data(corpus: Path) -> TextDataset:
    return dataset.load_dataset(str(corpus))


@pytest.mark.parametrize("config", [MEMORY, RECURRENT, ADAPTIVE, TIED_ADAPTIVE], ids=KINDS)
@pytest.mark.parametrize("stop_after", [0, 1, 19, 25])
def test_a_stopped_run_goes_on_exactly_where_it_was(
    config: Config, stop_after: int, data: TextDataset, tmp_path: Path
):
    straight, run = start(config, data, tmp_path / "straight")
    assert run_fit(straight, run) == "epochs"

    stopped, broken = start(config, data, tmp_path / "broken")
    assert run_fit(stopped, broken, after_calls(stop_after)) == "stopped"
    torch.manual_seed(99)  # another process has other random numbers
    go_on_and_end_like(straight, run, broken, config, data)


def test_a_run_that_is_stopped_while_it_validates_goes_on_from_there(data: TextDataset, tmp_path: Path):
    straight, run = start(RECURRENT, data, tmp_path / "straight")
    assert run_fit(straight, run) == "epochs"
    stopped, broken = start(RECURRENT, data, tmp_path / "broken")
    assert run_fit(stopped, broken, lambda: stopped.steps > 30 and not stopped.model.training) == "stopped"
    assert len(broken.metrics()) == 1
    assert checkpoint.read(broken.last).step == run.metrics()[1]["step"]
    go_on_and_end_like(straight, run, broken, RECURRENT, data)


@pytest.mark.parametrize("config", [MEMORY, RECURRENT], ids=["memn2n", "lstm"])
@pytest.mark.parametrize("limit", [3, 25])
def test_a_limit_of_steps_can_be_raised_within_an_epoch(config: Config, limit: int, data: TextDataset, tmp_path: Path):
    straight, run = start(config, data, tmp_path / "straight")
    assert run_fit(straight, run) == "epochs"

    limited = dataclasses.replace(config, train=config.train.replace({"max_steps": limit}))
    first, broken = start(limited, data, tmp_path / "broken")
    assert run_fit(first, broken) == "max_steps"
    assert first.steps == limit
    lines = broken.metrics()
    assert lines[-1]["step"] == limit  # what there is was validated
    again = reopen(limited, data)
    again.load(broken)
    assert run_fit(again, broken) == "max_steps"  # as after a crash at the very end
    assert without_times(broken)[-1] == {
        k: v for k, v in lines[-1].items() if k not in ("seconds", "tokens_per_second")
    }
    go_on_and_end_like(straight, run, broken, config, data)


def test_the_best_state_is_that_of_an_epoch_once_a_limit_of_steps_is_raised(data: TextDataset, tmp_path: Path):
    limited = dataclasses.replace(MEMORY, train=MEMORY.train.replace({"max_steps": 25}))
    training, run = start(limited, data, tmp_path / "run")
    assert run_fit(training, run) == "max_steps"
    assert checkpoint.read(run.best).step == 25  # the limit was validated, and was best
    resumed = reopen(MEMORY, data)
    resumed.load(run)
    assert run_fit(resumed, run, after_calls(1)) == "stopped"
    assert checkpoint.read(run.best).step == run.metrics()[0]["step"]
    assert len(run.metrics()) == 1


def test_a_best_state_that_was_not_written_is_made_from_the_last(data: TextDataset, tmp_path: Path):
    config = dataclasses.replace(MEMORY, train=MEMORY.train.replace({"epochs": 1}))
    training, run = start(config, data, tmp_path / "run")
    run_fit(training, run)
    whole = checkpoint.read_this(run.best)
    shutil.rmtree(run.best)
    resumed = reopen(config, data)
    resumed.load(run)
    assert run_fit(resumed, run) == "epochs"
    assert checkpoint.read_this(run.best).meta == whole.meta


def test_checkpoints_are_made_when_it_is_time(data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    due = Due(MEMORY.train.replace({"checkpoint_every": "100"}), step=7)
    assert [due(step) for step in (106, 107)] == [False, True]
    due.saved(107)
    assert [due(step) for step in (206, 207)] == [False, True]

    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    due = Due(MEMORY.train.replace({"checkpoint_every": "1.5min"}), step=7)
    now += 89
    assert not due(10**9)
    now += 1
    assert due(8)
    due = Due(MEMORY.train.replace({"checkpoint_every": "0"}), step=7)
    now += 10**9
    assert not due(10**9)


class Saves(Observer):
    """Notes the steps of checkpoints, of those that were asked for and of others, and what was on disk then."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.asked: list[int] = []
        self.others: list[int] = []

    def saved(self, learner: Learner, asked: bool) -> None:
        assert checkpoint.read_this(self.run.last).step == learner.steps
        (self.asked if asked else self.others).append(learner.steps)


def test_a_checkpoint_that_is_asked_for_is_made_at_once(data: TextDataset, tmp_path: Path):
    training, run = start(MEMORY, data, tmp_path / "run")
    saves = Saves(run)
    run_fit(training, run, save=lambda: training.steps == 5, observers=[saves])
    assert saves.asked == [5]


def test_the_interval_between_checkpoints_starts_anew_after_each(data: TextDataset, tmp_path: Path):
    training, run = start(with_train(MEMORY, checkpoint_every="8", epochs=1), data, tmp_path / "run")
    saves = Saves(run)
    run_fit(training, run, observers=[saves])
    assert saves.others == [0, 8, 16, training.steps]  # before the first step, when due, after the epoch


def test_of_epochs_with_equal_validation_the_first_is_the_best(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("memlm.training.text.token_nats", lambda model, tokens, **_: np.ones(len(tokens)))
    training, run = start(MEMORY, data, tmp_path / "run")
    run_fit(training, run)
    assert training.best is not None
    assert training.best.best_epoch == 1
    assert checkpoint.read(run.best).step == run.metrics()[0]["step"]


@pytest.mark.parametrize("config", [MEMORY, RECURRENT], ids=["memn2n", "lstm"])
def test_models_learn(config: Config, data: TextDataset, tmp_path: Path):
    config = dataclasses.replace(config, train=config.train.replace({"epochs": 40}))
    training, run = start(config, data, tmp_path / "run")
    run_fit(training, run)
    perplexities = [line["valid_perplexity"] for line in run.metrics()]
    assert perplexities[0] > 4
    assert min(perplexities) < 2  # the text tells its next word
    assert all(line["train_perplexity"] > 0 for line in run.metrics())


def test_metrics_have_their_keys_and_the_best_epoch_is_kept(data: TextDataset, tmp_path: Path):
    training, run = start(MEMORY, data, tmp_path / "run")
    run_fit(training, run)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    keys = {"epoch", "train_perplexity", "valid_perplexity", "lr", "grad_norm", "clipped_fraction"}
    assert keys | {"tokens_per_second", "seconds"} <= lines[0].keys()
    best = json.loads((run.best / "checkpoint.json").read_text())
    assert best["valid_perplexity"] == min(line["valid_perplexity"] for line in lines)


def test_an_epoch_trains_on_each_target_once(data: TextDataset):
    tokens = data.splits["train"].tokens
    for config in (MEMORY.train, RECURRENT.train):
        plan = plan_epoch(config, len(tokens), epoch=0)
        positions = np.concatenate([(span.starts[:, None] + np.arange(span.length)).ravel() for span in plan])
        assert sorted(positions.tolist()) == list(range(len(tokens)))
    windows = plan_epoch(MEMORY.train.replace({"sampling": "windows"}), len(tokens), epoch=0)
    assert len(windows) == -(-len(tokens) // 32)


@pytest.mark.parametrize(
    ("changes", "reason", "steps"),
    [
        ({"max_steps": 5}, "max_steps", 5),
        ({"min_lr": 0.06}, "min_lr", 20),
        ({"epochs": 2}, "epochs", 40),
    ],
)
def test_training_ends_for_the_right_reason(
    changes: dict[str, Any], reason: str, steps: int, data: TextDataset, tmp_path: Path
):
    config = dataclasses.replace(MEMORY, train=MEMORY.train.replace(changes))
    training, run = start(config, data, tmp_path / "run")
    assert run_fit(training, run) == reason
    assert training.steps == pytest.approx(steps, abs=3)
    assert run.metrics()


def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(data: TextDataset, tmp_path: Path):
    config = dataclasses.replace(MEMORY, train=MEMORY.train.replace({"lr": 1e30}))
    training, run = start(config, data, tmp_path / "run")
    with pytest.raises(
        MemlmError, match=r"not finite at step 2, at learning rate 1e\+30; .*last, of step 0, is the last good"
    ):
        run_fit(training, run)


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if isinstance(recipe(name), Config) and recipe(name).model.trained]
)
def test_every_recipe_takes_a_step(name: str, data: TextDataset):
    config = recipe(name)
    assert not isinstance(config.model, KneserNeyConfig)
    if config.model.units > 300:  # the large ones as small ones: the settings are what is tested
        config = dataclasses.replace(config, model=config.model.replace({"units": 20}))
    training = reopen(config, data)
    before = [p.detach().clone() for p in training.model.parameters()]
    tokens = data.splits["train"].tokens
    training.step(gather(tokens, plan_epoch(config.train, len(tokens), 0)[0], training.model.context_size))
    training.settle()
    assert training.progress[0].totals.nats > 0
    assert any(not torch.equal(old, new) for old, new in zip(before, training.model.parameters(), strict=True))


def test_pictures_of_attention_change_nothing(data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn, run = start(MEMORY, data, tmp_path / "drawn")
    run_fit(drawn, run)
    generator = torch.get_rng_state()
    monkeypatch.setattr("memlm.evaluation.attention.picture", lambda *_: None)
    plain, other = start(MEMORY, data, tmp_path / "plain")
    run_fit(plain, other)
    assert torch.equal(generator, torch.get_rng_state())
    assert without_times(run) == without_times(other)
    for ours, theirs in zip(drawn.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


GOLDEN = REPOSITORY / "tests" / "golden" / "losses.json"


@pytest.mark.parametrize("name", ["memn2n", "lstm"])
def test_losses_of_the_first_epochs_are_those_on_record(name: str, data: TextDataset, tmp_path: Path):
    """To record anew after a wanted change: write what this test prints to tests/golden/losses.json."""
    config = dataclasses.replace(MEMORY if name == "memn2n" else RECURRENT)
    if name == "lstm":
        config = dataclasses.replace(
            config, model=LSTMConfig(units=16, dropout=0.0, init_range=0.4)
        )  # no dropout: one generator less
    training, run = start(config, data, tmp_path / "run")
    run_fit(training, run)
    losses = [[line["train_perplexity"], line["valid_perplexity"]] for line in run.metrics()]
    print(json.dumps({name: losses}))
    np.testing.assert_allclose(losses, json.loads(GOLDEN.read_text())[name], rtol=1e-3)
