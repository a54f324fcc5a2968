"""What is shown of a training at the terminal."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import click

from memlm import format
from memlm.cli.show.bars import BarDisplay
from memlm.evaluation.perplexity import perplexity
from memlm.training.interfaces import Standing
from memlm.training.progress import Totals
from memlm.training.standings import Standings

HEADER = f"{'epoch':>5} {'train ppl':>10} {'valid ppl':>10} {'lr':>9} {'grad norm':>10} {'tokens/s':>9} {'time':>8}"


class Display(BarDisplay):
    """Lines for all, and a progress bar where standard error is a terminal."""

    def __init__(self) -> None:
        figures = "ppl {task.fields[ppl]:.1f}  loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"
        super().__init__("epoch {task.fields[epoch]}", figures, epoch=0, ppl=0.0, loss=0.0, rate=0.0)

    def begin(self, restarts: int) -> None:
        """The heads of the epochs' columns."""
        self.say(HEADER if restarts == 1 else f"{HEADER}  valid ppl of all, best seed")

    def say(self, line: str) -> None:
        """A line on standard output, above the bar where that is on the same terminal."""
        if self._console.is_terminal and sys.stdout.isatty():
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            click.echo(line)

    def step(self, progress: Standing, recent: Totals, steps_in_epoch: int) -> None:
        """Move the bar on."""
        self._bar.update(
            self._task,
            visible=True,
            total=steps_in_epoch,
            completed=progress.totals.steps,
            epoch=progress.epoch + 1,
            ppl=perplexity(recent.nats, recent.targets),
            loss=recent.nats / recent.targets,
            rate=recent.targets / recent.seconds,
        )

    def saved(self, step: int) -> None:
        """A line for a checkpoint that was asked for."""
        self.say(f"saved at step {step}")

    def epoch(self, metrics: dict[str, Any], *, best: bool) -> None:
        """The epoch's line; a star marks the best so far."""
        of_all = f"  {_spread(metrics)}" if "seed" in metrics else ""
        self.say(
            f"{metrics['epoch']:5} {metrics['train_perplexity']:10.2f} {metrics['valid_perplexity']:10.2f} "
            f"{metrics['lr']:9.2g} {metrics['grad_norm']:10.1f} {metrics['tokens_per_second']:9,.0f} "
            f"{format.duration(metrics['seconds']):>8}{of_all}{' *' if best else ''}"
        )


def _spread(metrics: Mapping[str, Any]) -> str:
    """Validation of the best and the worst restart, and the seed of the best one."""
    found = [perplexity for perplexity in metrics["valid_perplexity_by_seed"].values() if perplexity is not None]
    return f"{min(found):.2f} to {max(found):.2f}, {metrics['seed']}"


def say_restarts(display: Display, standings: Standings, *, unit: str) -> None:
    """Which restart is the best, and how far they lie apart: in perplexities of a `unit`, a word or a part of one."""
    summary = standings.summary()
    found = [restart["valid_perplexity"] for restart in summary["restarts"]]
    finite = [value for value in found if value is not None and math.isfinite(value)]
    mean, std = summary["valid_perplexity_mean"], summary["valid_perplexity_std"]
    less = "" if len(finite) == len(found) else f"; {len(found) - len(finite)} without a finite one"
    if finite:
        display.say(
            f"that is seed {summary['seed']} of {len(found)} restarts: valid {mean:.2f} +- {std:.2f} a {unit} (mean, "
            f"standard deviation), from {min(finite):.2f} to {max(finite):.2f}{less}"
        )
    for restart in summary["restarts"]:
        if restart["diverged_at_step"] is not None:
            display.say(f"seed {restart['seed']} diverged at step {restart['diverged_at_step']}")
