"""Restarts trained side by side: each ends as the run of its seed alone, and the run goes on after any stop."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.data import dataset
from memlm.data.batches import EMPTY, NOTHING, Span, gather, gather_together
from memlm.data.dataset import TextDataset
from memlm.errors import MemlmError
from memlm.inference.evaluation import remeasure
from memlm.inference.load import load_text
from memlm.models.build import build_initialised
from memlm.models.memn2n import MemN2N
from memlm.models.stacked import StackedHead
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import DivergedError
from memlm.training.metrics import epoch_metrics, restarts_summary, step_figures
from memlm.training.progress import Totals
from memlm.training.text import TextLearner
from tests.helpers.training import after_calls, reopen, run_fit, start, without_times

SEEDS = (3, 4, 5)
CONFIG = Config(
    model=MemN2NConfig(hops=2, memory_size=8, units=12),
    train=TrainConfig(
        restarts=3,
        seed=3,
        batch_size=32,
        chunk_length=8,
        epochs=4,
        lr=0.1,
        clip=5.0,
        device="cpu",
        precision="float32",
    ),
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextDataset:
    """A text of chance, that can soon be learnt no better: so that rates are annealed. Pictures are left out."""
    monkeypatch.setattr("memlm.evaluation.attention.picture", lambda *_: None)
    rng = np.random.default_rng(1)
    for split, lines in (("train", 120), ("valid", 30), ("test", 20)):
        words = rng.integers(9, size=(lines, 4)) // 2
        (tmp_path / f"{split}.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in words))
    return dataset.load_dataset(str(tmp_path))


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def with_settings(config: Config = CONFIG, *, model: dict[str, Any] | None = None, **values: Any) -> Config:
    return dataclasses.replace(config, model=config.model.replace(model or {}), train=config.train.replace(values))


def alone(config: Config, seed: int, data: TextDataset, path: Path) -> tuple[TextLearner, RunFolder]:
    """The run of a restart's seed, to its end."""
    training, run = start(with_settings(config, restarts=1, seed=seed), data, path)
    run_fit(training, run)
    return training, run


def parameters(training: TextLearner, restart: int) -> list[Tensor]:
    return [p.detach()[restart] for p in training.model.parameters()]


def assert_as_alone(training: TextLearner, restart: int, single: TextLearner, run: RunFolder) -> None:
    """Weights, annealing and metrics of a restart, up to rounding in float64."""
    for ours, theirs in zip(parameters(training, restart), single.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-10)
    own = training.progress[restart]
    assert dataclasses.asdict(own.schedule) == pytest.approx(
        dataclasses.asdict(single.progress[0].schedule), rel=1e-10
    )
    assert (own.step, own.epoch, own.best_epoch) == (
        single.steps,
        single.epoch,
        single.progress[0].best_epoch,
    )
    for line, wanted in zip(own.history, without_times(run), strict=True):
        assert {key: line[key] for key in wanted} == pytest.approx(wanted, rel=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("model", "values"),
    [
        ({"tying": "layerwise"}, {}),
        ({"tying": "adjacent"}, {"epochs": 8, "min_lr": 0.08}),
        ({"temporal_encoding": False}, {"sampling": "windows"}),
        ({"memory_size": 40}, {"max_steps": 50, "batch_size": 30, "chunk_length": 5}),
    ],
)
def test_each_restart_is_the_run_of_its_seed(
    model: dict[str, Any], values: dict[str, Any], data: TextDataset, tmp_path: Path
):
    config = with_settings(model=model, **values)
    training, run = start(config, data, tmp_path / "together")
    why = run_fit(training, run)
    singles = [alone(config, seed, data, tmp_path / str(seed)) for seed in SEEDS]
    for restart, single in enumerate(singles):
        assert_as_alone(training, restart, *single)
    if "min_lr" in values:
        assert why == "min_lr"
        assert len({single.epoch for single, _ in singles}) > 1  # they ended at different times
    elif not config.train.max_steps:
        rates = {single.progress[0].scheduled_rate(config.train) for single, _ in singles}
        assert len(rates) > 1  # they annealed, each when it was due

    costs = [single.progress[0].best_cost or np.inf for single, _ in singles]
    best, best_run = singles[int(np.argmin(costs))]
    ours, theirs = checkpoint.read_this(run.best), checkpoint.read_this(best_run.best)
    assert ours.meta["seed"] == best.config.seed
    assert ours.step == theirs.step
    assert ours.meta["sample"] == pytest.approx(theirs.meta["sample"])
    for name, tensor in ours.model.items():
        torch.testing.assert_close(tensor, theirs.model[name], rtol=1e-10, atol=1e-10)


def test_restarts_have_the_precision_that_they_are_asked_for(data: TextDataset, tmp_path: Path):
    """Each is as near to its run alone in bfloat16 as rounding has it, and not to the one in float32."""
    config = with_settings(precision="bfloat16", max_steps=1)
    training, run = start(config, data, tmp_path / "together")
    run_fit(training, run)
    assert training.head.precision == torch.bfloat16
    for restart, seed in enumerate(SEEDS):
        low, _ = alone(config, seed, data, tmp_path / f"low-{seed}")
        high, _ = alone(with_settings(config, precision="float32"), seed, data, tmp_path / f"high-{seed}")
        ours = torch.cat([p.flatten() for p in parameters(training, restart)])
        same, other = (
            float((ours - torch.cat([p.detach().flatten() for p in single.model.parameters()])).abs().max())
            for single in (low, high)
        )
        assert same < 0.1 * other


def test_of_restarts_with_equal_validation_the_first_is_the_best(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("memlm.training.text.token_nats", lambda model, tokens, **_: np.ones((3, len(tokens))))
    training, run = start(CONFIG, data, tmp_path / "run")
    run_fit(training, run)
    assert training.best_restart == 0
    assert checkpoint.read(run.best).meta["seed"] == SEEDS[0]


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_initial_weights_are_those_of_the_seeds(tying: str, data: TextDataset):
    training = reopen(with_settings(model={"tying": tying}), data)
    for restart, seed in enumerate(SEEDS):
        config = MemN2NConfig(hops=2, memory_size=8, units=12, tying=tying)
        single = build_initialised(config, vocabulary_size=len(data.vocabulary), eos=0, seed=seed)
        for ours, theirs in zip(parameters(training, restart), single.parameters(), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("stop_after", [0, 1, 19, 25])
def test_a_stopped_run_goes_on_exactly_where_it_was(stop_after: int, data: TextDataset, tmp_path: Path):
    straight, run = start(CONFIG, data, tmp_path / "straight")
    assert run_fit(straight, run) == "epochs"
    stopped, broken = start(CONFIG, data, tmp_path / "broken")
    assert run_fit(stopped, broken, after_calls(stop_after)) == "stopped"
    resumed = reopen(CONFIG, data)
    resumed.load(broken)
    assert run_fit(resumed, broken) == "epochs"
    assert without_times(broken) == without_times(run)
    for ours, theirs in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert checkpoint.read_this(broken.best).meta["files"] == checkpoint.read_this(run.best).meta["files"]


def test_a_limit_of_steps_can_be_raised(data: TextDataset, tmp_path: Path):
    straight, run = start(CONFIG, data, tmp_path / "straight")
    run_fit(straight, run)
    limited, broken = start(with_settings(max_steps=25), data, tmp_path / "broken")
    assert run_fit(limited, broken) == "max_steps"
    assert limited.steps == broken.metrics()[-1]["step"] == 25
    resumed = reopen(CONFIG, data)
    resumed.load(broken)
    assert run_fit(resumed, broken) == "epochs"
    assert without_times(broken) == without_times(run)


def test_metrics_are_those_of_the_best_restart_with_the_perplexity_of_each(data: TextDataset, tmp_path: Path):
    training, run = start(CONFIG, data, tmp_path / "run")
    run_fit(training, run)
    lines = run.metrics()
    for line in lines:
        by_seed = line["valid_perplexity_by_seed"]
        assert list(by_seed) == ["3", "4", "5"]
        assert line["valid_perplexity"] == min(by_seed.values()) == by_seed[str(line["seed"])]
    assert min(line["valid_perplexity"] for line in lines) == checkpoint.read(run.best).meta["valid_perplexity"]
    assert training.best is not None
    summary = restarts_summary(training.progress, training.best)
    best = [min(line["valid_perplexity_by_seed"][str(seed)] for line in lines) for seed in SEEDS]
    assert [restart["valid_perplexity"] for restart in summary["restarts"]] == best
    assert summary["valid_perplexity_mean"] == pytest.approx(np.mean(best))
    assert summary["valid_perplexity_std"] == pytest.approx(np.std(best, ddof=1))
    assert summary["seed"] == SEEDS[int(np.argmin(best))]


def poison(patch: pytest.MonkeyPatch, restarts: list[int], *, step: int) -> None:
    """Make the gradients of some restarts infinite in a step, counted from now on."""
    real, count = StackedHead.backward, 0

    def backward(head: StackedHead, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal count
        count += 1
        nats, grad = real(head, hidden, targets)
        if count == step:
            grad[restarts] = torch.inf
        return nats, grad

    patch.setattr(StackedHead, "backward", backward)


@pytest.mark.usefixtures("float64")
def test_a_restart_that_diverges_is_left_out_and_the_others_go_on(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    training, run = start(CONFIG, data, tmp_path / "run")
    poison(monkeypatch, [1], step=27)
    assert run_fit(training, run) == "epochs"
    assert [each.diverged for each in training.progress] == [None, 27, None]
    assert "the restart of seed 4 is left out: the loss or its gradient is not finite at step 27" in caplog.text
    assert [line["valid_perplexity_by_seed"]["4"] is None for line in run.metrics()] == [False, True, True, True]
    for restart in (0, 2):
        assert_as_alone(training, restart, *alone(CONFIG, SEEDS[restart], data, tmp_path / str(restart)))
    stopped_at = alone(with_settings(max_steps=26), 4, data, tmp_path / "4")[0]
    for ours, theirs in zip(parameters(training, 1), stopped_at.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-10)

    resumed = reopen(with_settings(epochs=5), data)
    resumed.load(run)
    assert run_fit(resumed, run) == "epochs"
    assert [each.diverged for each in resumed.progress] == [None, 27, None]
    assert [progress.epoch for progress in resumed.progress] == [5, 1, 5]


def test_where_no_restart_is_left_training_stops_and_the_last_good_state_stays(
    data: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    training, run = start(CONFIG, data, tmp_path / "run")
    poison(monkeypatch, [0, 1, 2], step=30)
    with pytest.raises(DivergedError, match=r"no restart is left: .* at step 30, at .*last, of step \d+, is the last"):
        run_fit(training, run)
    assert all(tensor.isfinite().all() for tensor in checkpoint.read(run.last).model.values())


def test_a_damaged_state_is_said(data: TextDataset, tmp_path: Path):
    training, run = start(CONFIG, data, tmp_path / "run")
    checkpoint.save(run.last, training.model, {"step": 0})
    with pytest.raises(MemlmError, match="does not hold the state of a training"):
        training.load(run)


def test_the_best_restart_is_a_model_like_any_other_and_the_last_state_is_none(data: TextDataset, tmp_path: Path):
    training, run = start(dataclasses.replace(CONFIG, dataset=str(tmp_path)), data, tmp_path / "run")
    run_fit(training, run)
    model = load_text(run.path)
    assert isinstance(model.model, MemN2N)
    noted, now = remeasure(model) or (0.0, 1.0)
    assert now == pytest.approx(noted)
    with pytest.raises(MemlmError, match=r"last holds 3 restarts side by side: use best"):
        load_text(run.path, checkpoint="last")


def test_spans_of_any_size_are_read_in_one_shape(data: TextDataset):
    tokens = data.splits["train"].tokens
    spans = [Span(np.array([40, 7, 2]), 4), Span(np.array([len(tokens) - 2]), 2), NOTHING]
    inputs, targets = gather_together(tokens, spans, 8, rows=3, length=4)
    assert inputs.shape == (3, 3, 11)
    for restart, span in enumerate(spans):
        rows, length = len(span.starts), span.length
        wanted = gather(tokens, span, 8) if length else None
        if wanted is not None:
            np.testing.assert_array_equal(inputs[restart, :rows, : 8 + length - 1], wanted.inputs)
            np.testing.assert_array_equal(targets[restart, :rows, :length], wanted.targets)
        assert (targets[restart] != EMPTY).sum() == rows * length
    assert inputs.max() < len(data.vocabulary)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (
            LSTMConfig(),
            {"sampling": "streams"},
            "restarts is 3, but only memn2n with a full softmax is trained side by side: train lstm-1x100 as often",
        ),
        (
            MemN2NConfig(),
            {"on_divergence": "halve"},
            "on_divergence is halve; with restarts it must be stop: one that ",
        ),
        (MemN2NConfig(), {"restarts": 0}, "restarts is 0; it must be at least 1"),
    ],
)
def test_what_can_not_be_trained_side_by_side_is_said(
    model: LSTMConfig | MemN2NConfig, values: dict[str, Any], message: str
):
    with pytest.raises(MemlmError, match=message):
        Config(model=model, train=TrainConfig(**({"restarts": 3} | values)))


def test_an_infinite_perplexity_is_read_again(data: TextDataset, tmp_path: Path):
    """Which is none in JSON."""
    learner, run = start(with_settings(restarts=2, seed=1), data, tmp_path / "run")
    for progress, perplexity, cost in zip(learner.progress, (math.inf, 5.0), (800.0, 1.6), strict=True):
        progress.step, progress.totals = 3, Totals(nats=9.0, targets=3, steps=3, seconds=1.0)
        figures = step_figures(progress.totals, lr=0.1, parameter_norm=1.0)
        line = epoch_metrics(progress, figures, valid_perplexity=perplexity)
        progress.end_epoch(learner.config, line, cost, {"valid_perplexity": perplexity})
    learner.save(run)
    again = reopen(with_settings(restarts=2, seed=1), data)
    again.load(run)
    assert again.line(1)["seed"] == learner.line(1)["seed"] == 2
    assert again.best is not None
    assert restarts_summary(again.progress, again.best)["valid_perplexity_mean"] == 5.0
