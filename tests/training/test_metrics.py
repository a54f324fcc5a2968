"""Metrics of training: of some steps, of an epoch, and of restarts side by side."""

import math
from typing import Any

import numpy as np
import pytest

from memlm.training import metrics
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Annealing

TOTALS = Totals(nats=20.0, targets=10, steps=4, grad_norm=12.0, clipped_norm=6.0, clipped=1, seconds=5.0)


def progress(seed: int, *valid: float | None, diverged: int | None = None) -> Progress:
    """A restart after epochs with these perplexities of validation, of two steps each."""
    found = Progress(seed=seed, schedule=Annealing(lr=1.0, factor=2.0, after=0), diverged=diverged)
    for number, perplexity in enumerate(valid, start=1):
        line = {"epoch": number, "step": 2 * number, "valid_perplexity": perplexity, "tokens_per_second": 10.0 * seed}
        found.history.append(line)
        if not found.best or (perplexity is not None and perplexity < found.best["valid_perplexity"]):
            found.best_epoch, found.best = number, {"valid_perplexity": perplexity}
    found.epoch, found.step = len(valid), 2 * len(valid)
    return found


def test_norms_are_means_per_step_and_the_perplexity_is_per_token():
    assert metrics.step_figures(TOTALS, lr=0.5, parameter_norm=7.0) == {
        "perplexity": pytest.approx(math.exp(2)),
        "lr": 0.5,
        "grad_norm": 3.0,
        "clipped_fraction": 0.25,
        "update_norm": 0.5 * 6.0 / 4,
        "parameter_norm": 7.0,
        "tokens_per_second": 2.0,
    }


def test_the_line_of_an_epoch_is_that_of_the_one_that_ends_now():
    of_run = progress(1, 9.0)
    of_run.step, of_run.halvings, of_run.totals = 6, 2, TOTALS
    figures = metrics.step_figures(TOTALS, lr=0.5, parameter_norm=7.0)
    line = metrics.epoch_metrics(of_run, figures, valid_perplexity=8.0)
    assert line == {
        "epoch": 2,
        "step": 6,
        "train_perplexity": figures["perplexity"],
        "valid_perplexity": 8.0,
        "lr": 0.5,
        "grad_norm": 3.0,
        "clipped_fraction": 0.25,
        "update_norm": 0.75,
        "parameter_norm": 7.0,
        "halvings": 2,
        "tokens_per_second": 2.0,
        "seconds": 5.0,
    }


def test_restarts_together_took_the_steps_and_the_time_of_the_longest():
    shorter = Totals(nats=5.0, targets=2, steps=1, grad_norm=1.0, clipped=1, seconds=6.0)
    found = metrics.together([TOTALS, shorter])
    assert (found.nats, found.targets, found.grad_norm, found.clipped) == (25.0, 12, 13.0, 2)
    assert (found.steps, found.seconds) == (4, 6.0)


def test_the_line_of_restarts_is_that_of_the_best_one_of_this_epoch():
    restarts = [progress(3, 9.0, 4.0), progress(4, 8.0, 5.0)]
    first, second = (metrics.line_of_restarts(restarts, epoch) for epoch in (1, 2))
    assert (first["seed"], first["valid_perplexity"], first["step"]) == (4, 8.0, 2)
    assert (second["seed"], second["valid_perplexity"], second["step"]) == (3, 4.0, 4)
    assert second["valid_perplexity_by_seed"] == {"3": 4.0, "4": 5.0}
    assert second["tokens_per_second"] == 70.0


def test_a_restart_that_has_ended_keeps_its_last_perplexity_and_one_that_diverged_has_none():
    restarts = [progress(3, 9.0), progress(4, 8.0, diverged=3), progress(5, 7.0, 6.0)]
    line = metrics.line_of_restarts(restarts, 2)
    assert line["valid_perplexity_by_seed"] == {"3": 9.0, "4": None, "5": 6.0}
    assert (line["seed"], line["tokens_per_second"]) == (5, 50.0)


def test_an_infinite_perplexity_is_never_the_best():
    """JSON has null for it."""
    assert metrics.line_of_restarts([progress(3, None), progress(4, 8.0)], 1)["seed"] == 4


def test_the_summary_of_restarts_has_each_and_their_mean_and_deviation():
    restarts = [progress(3, 9.0, 6.0), progress(4, 8.0), progress(5, diverged=1)]
    summary = metrics.restarts_summary(restarts, restarts[0])
    assert summary["seed"] == 3
    assert summary["restarts"][0] == {
        "seed": 3,
        "valid_perplexity": 6.0,
        "best_epoch": 2,
        "epochs": 2,
        "diverged_at_step": None,
    }
    assert [each["valid_perplexity"] for each in summary["restarts"]] == [6.0, 8.0, None]
    assert summary["restarts"][2]["diverged_at_step"] == 1
    assert summary["valid_perplexity_mean"] == 7.0
    assert summary["valid_perplexity_std"] == pytest.approx(math.sqrt(2))
    assert metrics.restarts_summary(restarts[:1], restarts[0])["valid_perplexity_std"] == 0.0


def test_points_are_the_numbers_of_a_line_and_the_parts_of_its_objects():
    line: dict[str, Any] = {"epoch": 1, "step": 2, "seed": 3, "lr": 0.5, "by_seed": {"3": 9.0, "4": None}}
    assert metrics.points(line) == {"lr": 0.5, "by_seed/3": 9.0}


def test_the_sample_of_a_checkpoint_is_the_start_of_validation():
    nats = np.linspace(1.0, 2.0, metrics.SAMPLE + 5)
    assert metrics.sample_of(nats) == {"tokens": metrics.SAMPLE, "nats": pytest.approx(nats[: metrics.SAMPLE].sum())}
    assert metrics.sample_of(nats[:3]) == {"tokens": 3, "nats": pytest.approx(nats[:3].sum())}
