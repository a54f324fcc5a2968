"""Training: an epoch, and the fit that anneals, keeps the best state and can be cut off at any instant and resumed."""

import dataclasses
import logging
import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from memlm import attention, checkpoint
from memlm.config import Config, TrainConfig
from memlm.curves import Curves
from memlm.data.chunks import Span, gather, random_chunks, random_windows, streams
from memlm.data.corpus import Tokens
from memlm.errors import MemlmError, unknown_name
from memlm.evaluate import TARGETS_AT_ONCE, TokenNats, token_nats, total
from memlm.progress import Progress, Totals, finished
from memlm.runlog import RunFolder
from memlm.settings import DEVICES
from memlm.training import DivergedError, Training, step_figures

MAX_HALVINGS = 5
SAMPLE = 4 * TARGETS_AT_ONCE  # tokens of validation by which `memlm doctor` knows a checkpoint again

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Is told how training goes; the command line draws its bar and lines from this."""

    def step(self, progress: Progress, recent: Totals, steps_in_epoch: int) -> None:
        """Each time that a point is added to the curves: totals since the last one."""

    def epoch(self, metrics: dict[str, Any], *, best: bool) -> None:
        """After each epoch: its line of metrics.jsonl, and whether it is the best so far."""

    def saved(self, step: int) -> None:
        """After a checkpoint that was asked for."""


class Requests(Protocol):
    """What is asked of a training from outside while it goes on."""

    def stop(self) -> bool:
        """Whether to save and stop."""

    def save(self) -> bool:
        """Whether to save and go on; asking takes the request back."""


class Due:
    """Says when it is time for a checkpoint within an epoch: so many steps or seconds after the last one."""

    def __init__(self, config: TrainConfig, step: int) -> None:
        self._steps, self._seconds = config.checkpoint_interval
        self.saved(step)

    def __call__(self, step: int) -> bool:
        """Whether it is time."""
        return step - self._step >= self._steps or time.monotonic() - self._time >= self._seconds

    def saved(self, step: int) -> None:
        """A checkpoint was made at this step."""
        self._step, self._time = step, time.monotonic()


class Stopped(Exception):  # noqa: N818, it is no error
    """Validation was left off because a stop was asked for."""


def fit(
    training: Training,
    train_tokens: Tokens,
    valid_tokens: Tokens,
    run: RunFolder,
    observer: Observer,
    requests: Requests,
) -> str:
    """Train until the epochs, the steps or the learning rate run out, or a stop is asked for ("stopped"); which.

    After each epoch: validate, anneal, keep the last and the best state, write metrics.jsonl. Between any two of
    these, and within the epoch, the run may be cut off: it goes on from its checkpoint `last` and ends as if it had
    not been. At the limit of steps it is validated as well. Raises DivergedError, with the last good state as it was.
    """
    while True:
        progress = training.progress
        curves = Curves(run.path, step=progress.logged_step, epoch=progress.epoch)
        fitting = _Fit(training, train_tokens, valid_tokens, run, observer, requests, curves)
        try:
            why = fitting.to_the_end()
        except DivergedError as error:
            _go_back(training, run, error)
        else:
            curves.close()
            return why


def _go_back(training: Training, run: RunFolder, error: DivergedError) -> None:
    """To the last good state with half the rate, which is saved at once; raises if that is not to be."""
    good = f"{run.last}, of step {checkpoint.step_of(run.last)}, is the last good state"
    if training.config.on_divergence == "stop":
        raise DivergedError(f"{error}; {good}: try a lower --lr or --clip, or --on-divergence halve") from None
    if training.progress.halvings == MAX_HALVINGS:
        raise DivergedError(
            f"{error}, which was halved {MAX_HALVINGS} times; {good}: try a lower --lr or --clip"
        ) from None
    training.load(run)
    progress = training.progress
    progress.annealing.lr /= 2
    progress.halvings += 1
    training.save(run)
    logger.warning("%s; going on from step %d at half the rate, %.4g", error, progress.step, progress.annealing.lr)


@dataclass
class _Fit:
    """One go at `fit`, until it ends or diverges."""

    training: Training
    train_tokens: Tokens
    valid_tokens: Tokens
    run: RunFolder
    observer: Observer
    requests: Requests
    curves: Curves

    def __post_init__(self) -> None:
        self.progress, self.config = self.training.progress, self.training.config
        self.due = Due(self.config, self.progress.step)

    def to_the_end(self) -> str:
        self.training.start_clock()
        restore_best(self.training, self.run)
        self.run.write_metrics(self.progress.history)
        if not checkpoint.exists(self.run.last):
            self.keep()  # so that there is always a good state to go back to
        while self.progress.totals.steps or not finished(self.progress, self.config):
            whole = self.epoch()
            if not whole:
                self.keep()
                if not finished(self.progress, self.config):
                    return "stopped"
            try:
                nats = token_nats(self.training.model, self.valid_tokens, tick=self.check_stop)
            except Stopped:
                self.keep()
                return "stopped"
            self.end_epoch(nats, whole=whole)
        return finished(self.progress, self.config)

    def epoch(self) -> bool:
        """Go through the rest of the epoch under way; False if a stop or the limit of steps ended it early."""
        training, progress = self.training, self.progress
        plan = plan_epoch(self.config, len(self.train_tokens), progress.epoch)
        if progress.totals.steps == 0:
            training.start_epoch()
        training.model.train()
        training.optimizer.lr = progress.annealing.lr
        training.start_clock()
        for span in plan[progress.totals.steps :]:
            if self.requests.stop() or finished(progress, self.config):
                return False
            training.step(gather(self.train_tokens, span, training.model.context_size))
            if progress.totals.steps % self.config.log_every == 0:
                self.log(len(plan))
            if self.due(progress.step):
                self.keep()
            if self.requests.save():
                self.keep()
                self.observer.saved(progress.step)
        self.log(len(plan))
        return True

    def log(self, steps_in_epoch: int) -> None:
        """A point on the curves, of the steps since the last one."""
        self.training.settle()
        totals = self.progress.totals
        recent = totals.since(self.progress.logged)
        if recent.steps:
            self.curves.add("step", step_figures(self.training, recent), self.progress.step)
            self.progress.logged = dataclasses.replace(totals)
            self.observer.step(self.progress, recent, steps_in_epoch)

    def keep(self) -> None:
        """Save the state as it is now."""
        self.training.save(self.run)
        self.due.saved(self.progress.step)

    def check_stop(self) -> None:
        """Leave off validating if a stop is asked for: the epoch's last step is where the run goes on."""
        if self.requests.stop():
            raise Stopped

    def end_epoch(self, nats: TokenNats, *, whole: bool) -> None:
        """Take note of a validation. `last` comes before `best`, which can be made from it, and the rest is in it."""
        training, progress, score = self.training, self.progress, total(nats)
        if not math.isfinite(score.nats):
            raise training.diverged("the validation loss", progress.step)
        metrics = epoch_metrics(training, score.perplexity)
        best = progress.end_epoch(metrics, score.nats_per_token, sample_of(nats))
        if whole:
            self.curves.add(
                "epoch", {name: metrics[name] for name in metrics.keys() - {"epoch", "step"}}, progress.epoch
            )
            figure = attention.picture(training.model, self.valid_tokens, progress.epoch)
            self.curves.picture("epoch/attention", figure, progress.epoch)
            self.keep()
        if best:
            checkpoint.save(self.run.best, training.model, progress.best)
        self.run.write_metrics(progress.history)
        self.observer.epoch(metrics, best=best)


def sample_of(nats: TokenNats) -> dict[str, Any]:
    """The first tokens of validation and their nats, by which a checkpoint is known again."""
    return {"tokens": len(nats[:SAMPLE]), "nats": float(nats[:SAMPLE].sum())}


def epoch_metrics(training: Training, valid_perplexity: float) -> dict[str, Any]:
    """The line of metrics.jsonl of the epoch that ends now; its seconds are those of its steps and validation."""
    progress = training.progress
    figures = step_figures(training, progress.totals)
    training.settle()  # the time of validation
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


def restore_best(training: Training, run: RunFolder) -> None:
    """Make the checkpoint `best` the one that the progress knows, if it can be had.

    It is another one where the run was cut off between `last` and `best`, and where a limit of steps, since raised,
    had ended an epoch early.
    """
    progress = training.progress
    steps: list[int | None] = []
    for folder in (run.best, checkpoint.previous(run.best)):
        try:
            steps.append(checkpoint.read_this(folder).step)
        except MemlmError:
            steps.append(None)
    if progress.best_step in (None, steps[0]):
        return
    if progress.best_step == progress.step:
        checkpoint.save(run.best, training.model, progress.best)
    elif progress.best_step == steps[1]:
        checkpoint.go_back(run.best)


def plan_epoch(config: TrainConfig, total: int, epoch: int) -> list[Span]:
    """The steps of epoch 0, 1, ... over `total` targets: a function of the seed and the epoch alone."""
    rng = np.random.default_rng([config.seed, epoch])
    if config.sampling == "windows":
        return list(random_windows(total, config.batch_size, rng))
    rows = config.batch_size // config.chunk_length
    if config.sampling == "streams":
        return list(streams(total, config.chunk_length, rows))
    return list(random_chunks(total, config.chunk_length, rows, rng))


def check_fits(config: Config, train_tokens: Tokens) -> None:
    """Refuse a memory that is larger than the text it is trained on."""
    size = getattr(config.model, "memory_size", 0)
    if size >= len(train_tokens):
        raise MemlmError(
            f"memory_size is {size}, but the training split of {config.dataset} has only {len(train_tokens)} tokens: "
            f"it must be smaller"
        )


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` names."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise MemlmError("device is 'cuda', but PyTorch sees no CUDA device here: use --device cpu")
    torch.backends.cudnn.allow_tf32 = False  # of the LSTM's kernels: float32 is to be float32
    return torch.device("cuda" if available and name != "cpu" else "cpu")
