"""Training: an epoch, and the fit that anneals, keeps the best state and can be cut off at any instant and resumed."""

import logging
import time
from dataclasses import dataclass

from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.data.corpus.reading import Tokens
from memlm.errors import MemlmError
from memlm.evaluation import attention
from memlm.evaluation.perplexity import TokenNats, token_nats
from memlm.evaluation.plots.pictures import pixels
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.runs.tensorboard import EventWriter
from memlm.training.interfaces import DivergedError, Observer, Requests, Trainee
from memlm.training.metrics import points
from memlm.training.text import Training

MAX_HALVINGS = 5

logger = logging.getLogger(__name__)


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
    training: Trainee,
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
        curves = EventWriter(run.path, step=progress.logged_step, epoch=progress.epoch)
        fitting = _Fit(training, train_tokens, valid_tokens, run, observer, requests, curves)
        try:
            why = fitting.to_the_end()
        except DivergedError as error:
            _go_back(training, run, error)
        else:
            curves.close()
            return why


def _go_back(training: Trainee, run: RunFolder, error: DivergedError) -> None:
    """To the last good state with half the rate, which is saved at once; raises if that is not to be."""
    good = f"{run.last}, of step {checkpoint.step_of(run.last)}, is the last good state"
    if training.config.on_divergence == "stop":
        halve = ", or --on-divergence halve" if training.config.restarts == 1 else ""
        raise DivergedError(f"{error}; {good}: try a lower --lr or --clip{halve}") from None
    assert isinstance(training, Training)  # the settings let restarts stop alone
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

    training: Trainee
    train_tokens: Tokens
    valid_tokens: Tokens
    run: RunFolder
    observer: Observer
    requests: Requests
    curves: EventWriter

    def __post_init__(self) -> None:
        self.progress, self.config = self.training.progress, self.training.config
        self.due = Due(self.config, self.progress.step)

    def to_the_end(self) -> str:
        self.training.start_clock()
        restore_best(self.training, self.run)
        self.run.write_metrics(self.progress.history)
        if not checkpoint.exists(self.run.last):
            self.keep()  # so that there is always a good state to go back to
        while self.progress.totals.steps or not self.training.finished:
            whole = self.epoch()
            if not whole:
                self.keep()
                if not self.training.finished:
                    return "stopped"
            if not self.progress.totals.steps:
                self.keep()
                continue  # the last restarts that trained diverged
            try:
                nats = token_nats(self.training.model, self.valid_tokens, tick=self.check_stop)
            except Stopped:
                self.keep()
                return "stopped"
            self.end_epoch(nats, whole=whole)
        return self.training.finished

    def epoch(self) -> bool:
        """Go through the rest of the epoch under way; False if a stop or the limit of steps ended it early."""
        training, progress = self.training, self.progress
        for batch in training.batches(self.train_tokens):
            if self.requests.stop() or training.finished:
                return False
            training.step(batch)
            if progress.totals.steps % self.config.log_every == 0:
                self.log()
            if self.due(progress.step):
                self.keep()
            if self.requests.save():
                self.keep()
                self.observer.saved(progress.step)
        self.log()
        return training.epoch_is_whole

    def log(self) -> None:
        """A point on the curves, of the steps since the last one."""
        recent, figures = self.training.note_point()
        if recent.steps:
            self.curves.add_scalars("step", figures, self.progress.step)
            self.observer.step(self.progress, recent, self.training.steps_in_epoch)

    def keep(self) -> None:
        """Save the state as it is now."""
        self.training.save(self.run)
        self.due.saved(self.progress.step)

    def check_stop(self, done: int, total: int) -> None:
        """Leave off validating if a stop is asked for: the epoch's last step is where the run goes on."""
        if self.requests.stop():
            raise Stopped

    def end_epoch(self, nats: TokenNats, *, whole: bool) -> None:
        """Take note of a validation. `last` comes before `best`, which can be made from it, and the rest is in it."""
        training, progress = self.training, self.progress
        before = progress.epoch
        best = training.end_epoch(nats)
        if progress.epoch == before:  # the restarts that trained diverged: there is no line of this epoch
            self.keep()
            return
        metrics = progress.history[-1]
        if whole:
            self.curves.add_scalars("epoch", points(metrics), progress.epoch)
            figure = attention.picture(training.best_model(), self.valid_tokens, progress.epoch)
            if figure is not None:
                self.curves.add_image("epoch/attention", pixels(figure), progress.epoch)
            self.keep()
        if best:
            checkpoint.save(self.run.best, training.best_model(), progress.best)
        self.run.write_metrics(progress.history)
        self.observer.epoch(metrics, best=best)


def restore_best(training: Trainee, run: RunFolder) -> None:
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
    if progress.is_best:
        checkpoint.save(run.best, training.best_model(), progress.best)
    elif progress.best_step == steps[1]:
        checkpoint.restore_previous(run.best)


def check_fits(config: Config, train_tokens: Tokens) -> None:
    """Refuse a memory that is larger than the text it is trained on."""
    size = getattr(config.model, "memory_size", 0)
    if size >= len(train_tokens):
        raise MemlmError(
            f"memory_size is {size}, but the training split of {config.dataset} has only {len(train_tokens)} tokens: "
            f"it must be smaller"
        )
