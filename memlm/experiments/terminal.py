"""The display of a training in a terminal or a notebook: lines and a progress bar.

`memlm train` and `memlm.train` share it.
"""

import importlib.util
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from memlm.config.data import UNITS
from memlm.config.run import Config, QAConfig
from memlm.data import dataset
from memlm.data.dataset import TextDataset
from memlm.data.questions.tasks import task_names
from memlm.evaluation.perplexity import perplexity
from memlm.evaluation.wording import data_lines, result_lines
from memlm.experiments.counting import CountedRun
from memlm.experiments.question_run import QuestionRun
from memlm.experiments.text_run import TextRun
from memlm.format import duration
from memlm.models.device import is_emulated
from memlm.models.ngram.smoothing import SmoothedNgrams
from memlm.runs.folder import RunFolder
from memlm.runs.summary import read_summary
from memlm.training.interfaces import Observer, Requests
from memlm.training.learner import Learner
from memlm.training.progress import Totals

Experiment = TextRun | QuestionRun | CountedRun
EPOCHS = f"{'epoch':>5} {'train ppl':>10} {'valid ppl':>10} {'lr':>9} {'grad norm':>10} {'tokens/s':>9} {'time':>8}"
ORDERS = f"{'order':>5} {'n-grams':>12} {'D1':>6} {'D2':>6} {'D3+':>6}"
RESUME = "memlm train --resume"


class Terminal(Observer):
    """Lines on standard output and a progress bar on standard error, within a `with` block.

    The bar appears with its first update, if standard error is a terminal or a notebook. `title` and `figures` are its
    texts; `fields` are the first values of the fields in them.
    """

    def __init__(self, title: str, figures: str, *, to_stderr: bool = False, **fields: Any) -> None:
        self._console, self._to_stderr = Console(stderr=True), to_stderr
        self._bar = Progress(
            TextColumn(title),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(figures),
            TimeRemainingColumn(),
            console=self._console,
            disable=not _can_draw(self._console),
            redirect_stdout=sys.stdout.isatty(),  # lines that go to a file stay out of the terminal
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, visible=False, **fields)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line, above the bar if both are on the same terminal."""
        stream = sys.stderr if self._to_stderr else sys.stdout
        if self._console.is_terminal and stream.isatty():
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=stream, flush=True)

    def saved(self, learner: Learner, asked: bool) -> None:
        """Report a checkpoint that a signal requested."""
        if asked:
            self.say(f"saved at step {learner.steps}")


def _can_draw(console: Console) -> bool:
    """Whether this is a terminal, or a notebook with the package that rich needs for a bar."""
    return console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)


class TextTerminal(Terminal):
    """One line per epoch, and a bar for the steps of the epoch."""

    def __init__(self) -> None:
        figures = "ppl {task.fields[ppl]:.1f}  loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"
        super().__init__("epoch {task.fields[epoch]}", figures, epoch=0, ppl=0.0, loss=0.0, rate=0.0)

    def point(self, learner: Learner, recent: Totals, figures: Mapping[str, float]) -> None:
        """Update the bar."""
        self._bar.update(
            self._task,
            visible=True,
            total=learner.steps_in_epoch,
            completed=learner.steps_done,
            epoch=learner.epoch + 1,
            ppl=perplexity(recent.nats, recent.targets),
            loss=recent.nats / recent.targets,
            rate=recent.targets / recent.seconds,
        )

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
        """Print the line of an epoch. A star marks the best so far."""
        of_all = f"  {_spread(metrics)}" if "seed" in metrics else ""
        self.say(
            f"{metrics['epoch']:5} {metrics['train_perplexity']:10.2f} {metrics['valid_perplexity']:10.2f} "
            f"{metrics['lr']:9.2g} {metrics['grad_norm']:10.1f} {metrics['tokens_per_second']:9,.0f} "
            f"{duration(metrics['seconds']):>8}{of_all}{' *' if best else ''}"
        )


def _spread(metrics: Mapping[str, Any]) -> str:
    """Validation perplexity of the best and the worst restart, and the seed of the best."""
    found = [perplexity for perplexity in metrics["valid_perplexity_by_seed"].values() if perplexity is not None]
    return f"{min(found):.2f} to {max(found):.2f}, {metrics['seed']}"


class QuestionTerminal(Terminal):
    """One line per finished model, and a bar for its epochs."""

    def __init__(self, config: QAConfig, *, to_stderr: bool = False) -> None:
        self._config = config
        figures = "train {task.fields[train]:.1f}%  valid {task.fields[valid]:.1f}%"
        super().__init__("{task.fields[what]}", figures, to_stderr=to_stderr, what="", train=0.0, valid=0.0)

    def began(self, learner: Learner, run: RunFolder) -> None:
        """Say which tasks are trained now."""
        config, numbers = self._config, learner.tasks  # type: ignore[attr-defined]
        names = task_names(config.dataset)
        self._what = f"task {numbers[0]}: {names[numbers[0] - 1]}" if len(numbers) == 1 else f"{len(numbers)} tasks"
        if learner.steps:
            self.say(f"{self._what}: resuming after epoch {learner.epoch}")
        linear = config.train.linear_epochs if config.train.linear_start != "no" else 0
        total = config.train.epochs + linear
        self._bar.update(self._task, visible=True, total=total, completed=0, what=self._what)

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
        """Update the bar. An epoch of all tasks takes long, so it also gets a line."""
        points = learner.points(metrics)
        train, valid = points["train_error"], points["valid_error"]
        self._bar.update(self._task, completed=metrics["epoch"], train=train, valid=valid)
        if self._config.train.joint:
            straight = sum(map(bool, metrics["linear"]))
            linear = f", {straight} in the linear start" if straight else ""
            self.say(
                f"epoch {metrics['epoch']:3}  train {train:4.1f}%  valid {valid:4.1f}%  (means of restarts{linear}; "
                f"{duration(metrics['seconds'])})"
            )

    def ended(self, learner: Learner, summary: dict[str, Any] | None) -> None:
        """Print the line of a finished model."""
        if summary is None:
            return
        best = summary["restarts"][summary["best"]]
        self.say(
            f"{self._what:30} test error {summary['mean_error']:5.1f}%  (train {best['train_error']:.1f}%, "
            f"seed {best['seed']} of {len(summary['restarts'])}; {summary['epochs']} epochs, "
            f"{duration(summary['seconds'])})"
        )


def train(experiment: Experiment, observers: list[Observer], requests: Requests) -> dict[str, Any] | None:
    """Train an experiment and display it. Returns the summary, or None if it was stopped."""
    if isinstance(experiment, QuestionRun):
        return _train_questions(experiment, observers, requests)
    with TextTerminal() as terminal:
        if isinstance(experiment, CountedRun):
            return _count(experiment, terminal, requests)
        for line in _introduction(experiment):
            terminal.say(line)
        summary = experiment.train([terminal, *observers], requests)
        learner = experiment.learner
        if summary is None:
            where = f"at step {learner.steps}, {learner.epoch} epochs done"
            terminal.say(f"stopped {where}; nothing is lost. To resume:")
            terminal.say(f"    {RESUME} {experiment.run.path}")
            return None
        for line in (*result_lines(summary["best_epoch"], experiment.passports), *_of_restarts(experiment, summary)):
            terminal.say(line)
        return summary


def _train_questions(experiment: QuestionRun, observers: list[Observer], requests: Requests) -> dict[str, Any] | None:
    path = experiment.run.path
    with QuestionTerminal(experiment.config) as terminal:
        for reason in experiment.absent:
            terminal.say(f"left out: {reason}")
        if experiment.train([terminal, *observers], requests) is None:
            terminal.say(f"stopped; nothing is lost. To resume:\n    {RESUME} {path}")
            return None
        summary = read_summary(path)
        failed = f"{summary['failed_tasks']} of {len(summary['tasks'])} failed"
        terminal.say(f"{path}: mean error {summary['mean_error']:.1f}%, {failed}, {duration(summary['seconds'])}")
        return summary


def _count(experiment: CountedRun, terminal: Terminal, requests: Requests) -> dict[str, Any] | None:
    run, data = experiment.run.path, experiment.data
    where = f"{len(data.splits['train'].tokens):,} tokens; run {run}"
    for line in (f"{experiment.config.model.label} on {data.name}: counting {where}", *_text(experiment.config, data)):
        terminal.say(line)
    terminal.say(ORDERS)
    experiment.found = lambda order, found: terminal.say(_order(order, found))
    summary = experiment.train([], requests)
    if summary is not None:
        for line in result_lines(1, experiment.passports):
            terminal.say(line)
    elif experiment.counted:
        terminal.say(f"stopped before all was scored: `memlm eval {run}` scores it")
    else:
        terminal.say(f"stopped; nothing is saved. To count again, give --run-dir {run} --overwrite")
    return summary


def _order(order: int, found: SmoothedNgrams) -> str:
    discounts = " ".join(f"{discount:6.3f}" for discount in found.discounts[1:])
    return f"{order:5} {len(found.keys):12,} {discounts}{'' if found.estimated else '  (too few counts to estimate)'}"


def _introduction(experiment: TextRun) -> Iterator[str]:
    learner, config, seeds = experiment.learner, experiment.config, experiment.config.train.seeds
    precision = learner.head.precision
    name = str(precision).removeprefix("torch.")
    where = f"{learner.device}, output layer in {name}"
    if cuts := getattr(config.model, "cutoffs", ""):
        where += f", cut at {cuts}"
    size = f"{learner.model.parameter_count:,} parameters"
    yield f"{config.model.label} on {experiment.data.name}: {size}; {where}; run {experiment.run.path}"
    if is_emulated(precision, learner.device):
        yield f"this CPU has no instructions for {name}: --precision float32 is many times as fast"
    if len(seeds) > 1:
        yield f"{len(seeds)} restarts side by side, of seeds {seeds[0]} to {seeds[-1]}"
    yield from _text(config, experiment.data)
    if learner.steps:
        yield f"resuming after step {learner.steps}"
    yield EPOCHS if len(seeds) == 1 else f"{EPOCHS}  valid ppl of all, best seed"


def _text(config: Config, data: TextDataset) -> Iterator[str]:
    """How a single file was split, and what its tokens are."""
    if config.data.split:
        yield dataset.split_rule(config.dataset, config.data)
    yield from data_lines(config, data)


def _of_restarts(experiment: TextRun, summary: Mapping[str, Any]) -> Iterator[str]:
    """The best restart and the spread of all, in perplexity per word, piece or character."""
    if "restarts" not in summary:
        return
    unit = UNITS[experiment.data.vocabulary.tokenizer]
    found = [restart["valid_perplexity"] for restart in summary["restarts"]]
    finite = [value for value in found if value is not None and math.isfinite(value)]
    mean, std = summary["valid_perplexity_mean"], summary["valid_perplexity_std"]
    less = "" if len(finite) == len(found) else f"; {len(found) - len(finite)} without a finite one"
    if finite:
        yield (
            f"that is seed {summary['seed']} of {len(found)} restarts: valid {mean:.2f} +- {std:.2f} per {unit} "
            f"(mean, standard deviation), from {min(finite):.2f} to {max(finite):.2f}{less}"
        )
    for restart in summary["restarts"]:
        if restart["diverged_at_step"] is not None:
            yield f"seed {restart['seed']} diverged at step {restart['diverged_at_step']}"
