"""Figures of training: of some steps, and of an epoch's line in metrics.jsonl."""

from collections.abc import Mapping
from typing import Any

from memlm.evaluation.perplexity import TARGETS_AT_ONCE, TokenNats, perplexity
from memlm.training.progress import Progress, Totals

SAMPLE = 4 * TARGETS_AT_ONCE  # tokens of validation by which `memlm doctor` knows a checkpoint again
OF_NO_CURVE = ("epoch", "step", "seed")


def step_figures(totals: Totals, *, lr: float, parameter_norm: float) -> dict[str, float]:
    """Figures of some steps: means of the norms of the gradient and of the update, norm of the parameters now."""
    return {
        "perplexity": perplexity(totals.nats, totals.targets),
        "lr": lr,
        "grad_norm": totals.grad_norm / totals.steps,
        "clipped_fraction": totals.clipped / totals.steps,
        "update_norm": lr * totals.clipped_norm / totals.steps,
        "parameter_norm": parameter_norm,
        "tokens_per_second": totals.targets / totals.seconds,
    }


def epoch_metrics(progress: Progress, figures: Mapping[str, float], *, valid_perplexity: float) -> dict[str, Any]:
    """The line of metrics.jsonl of the epoch that ends now, from the figures of its steps.

    Its seconds are those of its steps and, by now, of its validation.
    """
    return {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "train_perplexity": figures["perplexity"],
        "valid_perplexity": valid_perplexity,
        "lr": figures["lr"],
        "grad_norm": figures["grad_norm"],
        "clipped_fraction": figures["clipped_fraction"],
        "update_norm": figures["update_norm"],
        "parameter_norm": figures["parameter_norm"],
        "halvings": progress.halvings,
        "tokens_per_second": figures["tokens_per_second"],
        "seconds": progress.totals.seconds,
    }


def points(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The points that a line of metrics.jsonl is on the curves: one for each figure, or for each part of it."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{part}": each for part, each in value.items() if each is not None}
        elif name not in OF_NO_CURVE:
            found[name] = value
    return found


def sample_of(nats: TokenNats) -> dict[str, Any]:
    """The first tokens of validation and their nats, by which a checkpoint is known again."""
    return {"tokens": len(nats[:SAMPLE]), "nats": float(nats[:SAMPLE].sum())}
