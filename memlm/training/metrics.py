"""Metrics of training: of some steps, and of an epoch as a line of metrics.jsonl."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from memlm.evaluation.perplexity import TARGETS_AT_ONCE, TokenNats, perplexity
from memlm.training.progress import Progress, Totals

SAMPLE = 4 * TARGETS_AT_ONCE  # tokens of validation by which `memlm doctor` checks a checkpoint
OF_NO_CURVE = ("epoch", "step", "seed")


def step_figures(totals: Totals, *, lr: float, parameter_norm: float) -> dict[str, float]:
    """Metrics of some steps: mean norms of gradient and update, and the current norm of the parameters."""
    return {
        "perplexity": perplexity(totals.nats, totals.targets),
        "lr": lr,
        "grad_norm": totals.grad_norm / totals.steps,
        "clipped_fraction": totals.clipped / totals.steps,
        "update_norm": lr * totals.clipped_norm / totals.steps,
        "parameter_norm": parameter_norm,
        "tokens_per_second": totals.targets / totals.seconds,
    }


def together(totals: Sequence[Totals]) -> Totals:
    """Sums over restarts. Steps and seconds are those of the restart with the most."""
    summed = {name: sum(getattr(each, name) for each in totals) for name in asdict(Totals())}
    longest = {name: max(getattr(each, name) for each in totals) for name in ("steps", "seconds")}
    return Totals(**(summed | longest))


def epoch_metrics(progress: Progress, figures: Mapping[str, float], *, valid_perplexity: float) -> dict[str, Any]:
    """The line of metrics.jsonl of the epoch that ends now, from the metrics of its steps.

    Its seconds include those of validation.
    """
    kept = ("lr", "grad_norm", "clipped_fraction", "update_norm", "parameter_norm")
    return {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "train_perplexity": figures["perplexity"],
        "valid_perplexity": valid_perplexity,
        **{name: figures[name] for name in kept},
        "halvings": progress.halvings,
        "tokens_per_second": figures["tokens_per_second"],
        "seconds": progress.totals.seconds,
    }


def line_of_restarts(restarts: Sequence[Progress], epoch: int) -> dict[str, Any]:
    """The line of an epoch of several restarts: that of the best one, with the validation perplexities of all."""
    lines = {r: progress.history[epoch - 1] for r, progress in enumerate(restarts) if progress.epoch >= epoch}
    best = min(lines, key=lambda r: _or_infinite(lines[r]["valid_perplexity"]))
    return lines[best] | {
        "tokens_per_second": sum(line["tokens_per_second"] for line in lines.values()),
        "seed": restarts[best].seed,
        "valid_perplexity_by_seed": {str(progress.seed): _valid(progress, epoch) for progress in restarts},
    }


def _valid(progress: Progress, epoch: int) -> float | None:
    """Validation perplexity after an epoch: the last one if the restart had finished, None if it had diverged."""
    if progress.epoch < epoch and progress.diverged is not None:
        return None
    perplexity: float = progress.history[min(epoch, progress.epoch) - 1]["valid_perplexity"]
    return perplexity


def _or_infinite(perplexity: float | None) -> float:
    """JSON has null for an infinite perplexity."""
    return math.inf if perplexity is None else perplexity


def restarts_summary(restarts: Sequence[Progress], best: Progress) -> dict[str, Any]:
    """The seed of the best restart, the best validation of each, and its mean and standard deviation.

    A restart that was never validated has None.
    """
    found = [progress.best.get("valid_perplexity") for progress in restarts]
    there = [value for value in found if value is not None and math.isfinite(value)] or [math.inf]
    return {
        "seed": best.seed,
        "restarts": [
            {
                "seed": progress.seed,
                "valid_perplexity": value,
                "best_epoch": progress.best_epoch,
                "epochs": progress.epoch,
                "diverged_at_step": progress.diverged,
            }
            for progress, value in zip(restarts, found, strict=True)
        ],
        "valid_perplexity_mean": statistics.fmean(there),
        "valid_perplexity_std": statistics.stdev(there) if len(there) > 1 else 0.0,
    }


def points(metrics: Mapping[str, Any]) -> dict[str, float]:
    """A line of metrics.jsonl as points for TensorBoard: one for each number, or for each part of an object."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{part}": each for part, each in value.items() if each is not None}
        elif name not in OF_NO_CURVE:
            found[name] = value
    return found


def sample_of(nats: TokenNats) -> dict[str, Any]:
    """The first tokens of validation and their nats. They identify a checkpoint."""
    return {"tokens": len(nats[:SAMPLE]), "nats": float(nats[:SAMPLE].sum())}
