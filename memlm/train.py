"""Training: a step, an epoch, and the fit that anneals, keeps the best state and can be stopped and resumed."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from memlm import attention, checkpoint, jsontext
from memlm.config import DEVICES, Config, TrainConfig, unknown_name
from memlm.curves import Curves
from memlm.data.chunks import Batch, Span, gather, random_chunks, random_windows, streams
from memlm.data.corpus import Tokens
from memlm.errors import MemlmError
from memlm.evaluate import evaluate, perplexity, to_tensors
from memlm.models import LanguageModel, State
from memlm.models.head import SoftmaxHead
from memlm.models.products import choose_precision
from memlm.optim import Annealing, ClippedSGD
from memlm.runlog import RunFolder

LOG_EVERY = 50  # steps between points of the curves, and between looks at whether the loss is still finite


@dataclass(kw_only=True)
class Totals:
    """Sums over the steps of an epoch so far."""

    nats: float = 0.0
    targets: int = 0
    steps: int = 0
    grad_norm: float = 0.0
    clipped_norm: float = 0.0
    clipped: int = 0
    seconds: float = 0.0

    def since(self, earlier: "Totals") -> "Totals":
        """What came after `earlier`."""
        names = [f.name for f in dataclasses.fields(self)]
        return Totals(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


@dataclass(kw_only=True)
class Progress:
    """Where training stands: all that a checkpoint needs beside tensors."""

    annealing: Annealing
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps, of all epochs
    totals: Totals = field(default_factory=Totals)  # of the epoch under way
    best_cost: float | None = None  # nats a token on validation
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)  # metrics of the finished epochs

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Inverse of dataclasses.asdict; KeyError or TypeError where that is not what the values are."""
        parts = {"annealing": Annealing, "totals": Totals}
        inner: dict[str, Any] = {name: jsontext.as_dataclass(kind, values[name]) for name, kind in parts.items()}
        return jsontext.as_dataclass(cls, values | inner)


class Observer(Protocol):
    """Is told how training goes; the command line draws its bar and lines from this."""

    def step(self, progress: Progress, recent: Totals, steps_in_epoch: int) -> None:
        """Every LOG_EVERY steps: totals since the last call."""

    def epoch(self, metrics: dict[str, Any], *, best: bool) -> None:
        """After each epoch: its line of metrics.jsonl, and whether it is the best so far."""


class Training:
    """A model in training: the weights and everything else that training changes."""

    def __init__(self, model: LanguageModel, config: TrainConfig, device: torch.device) -> None:
        assert isinstance(model.head, SoftmaxHead)  # the others have no gradient
        self.model = model.to(device)
        self.head = model.head
        self.head.precision = choose_precision(config.precision, device)
        self.config = config
        self.device = device
        self.optimizer = ClippedSGD(model.parameters(), lr=config.lr, clip=config.clip)
        self.progress = Progress(annealing=Annealing.from_config(config))
        self.carried: State = None
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)  # of steps that are not yet in the totals
        torch.manual_seed(config.seed)  # dropout

    def save(self, run: RunFolder) -> None:
        """The state as the run's checkpoint `last`."""
        training = {"generator": torch.get_rng_state()}
        if self.device.type == "cuda":
            training["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        training |= {f"carried.{i}": tensor.contiguous() for i, tensor in enumerate(self.carried or ())}
        meta = {"step": self.progress.step, "progress": dataclasses.asdict(self.progress)}
        checkpoint.save(run.last, self.model, meta, training=training)

    def load(self, run: RunFolder) -> None:
        """Go on from the run's checkpoint `last`."""
        meta = checkpoint.load_meta(run.last)
        checkpoint.load_parameters(run.last, self.model)
        tensors = checkpoint.load_training(run.last)
        try:
            self.progress = Progress.from_dict(meta["progress"])
            torch.set_rng_state(tensors.pop("generator"))
            cuda = tensors.pop("generator.cuda", None)
            if cuda is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(cuda, self.device)
        except (KeyError, TypeError, RuntimeError):
            raise MemlmError(f"{run.last} is damaged: it does not hold the state of a training") from None
        self.carried = tuple(tensors[name].to(self.device) for name in sorted(tensors)) or None

    def step(self, batch: Batch) -> None:
        """One update on the summed loss of a batch."""
        inputs, targets = to_tensors(batch, self.device)
        hidden, state = self.model(inputs, self.carried)
        if state is not None:
            self.carried = tuple(tensor.detach() for tensor in state)
        rows = hidden.flatten(0, 1)
        nats, grad = self.head.backward(rows.detach(), targets.flatten())
        rows.backward(grad)
        norm = self.optimizer.step()
        clipped = norm.clamp(max=self.config.clip)
        self.sums += torch.stack([nats.sum(), norm, clipped, (norm > clipped).to(norm.dtype)])
        self.progress.step += 1
        self.progress.totals.steps += 1
        self.progress.totals.targets += targets.numel()

    def settle(self, seconds: float) -> None:
        """Move the sums into the totals; a loss or gradient that is not finite ends training here."""
        nats, norms, clipped_norms, clipped = self.sums.tolist()
        if not math.isfinite(nats + norms):
            first = self.progress.step - (self.progress.step - 1) % LOG_EVERY
            raise MemlmError(
                f"the loss or its gradient is not finite, in step {first} to {self.progress.step} at learning rate "
                f"{self.optimizer.lr:.4g}; what the run had saved before is as it was: try a lower --lr or --clip"
            )
        totals = self.progress.totals
        totals.nats += nats
        totals.grad_norm += norms
        totals.clipped_norm += clipped_norms
        totals.clipped += round(clipped)
        totals.seconds += seconds
        self.sums.zero_()


def plan_epoch(config: TrainConfig, total: int, epoch: int) -> list[Span]:
    """The steps of epoch 0, 1, ... over `total` targets: a function of the seed and the epoch alone."""
    rng = np.random.default_rng([config.seed, epoch])
    if config.sampling == "windows":
        return list(random_windows(total, config.batch_size, rng))
    rows = config.batch_size // config.chunk_length
    if config.sampling == "streams":
        return list(streams(total, config.chunk_length, rows))
    return list(random_chunks(total, config.chunk_length, rows, rng))


def train_epoch(
    training: Training, tokens: Tokens, observer: Observer, curves: Curves, stop: Callable[[], bool]
) -> bool:
    """Go through the rest of the epoch under way; False if `stop` or the limit of steps ended it early."""
    progress, config = training.progress, training.config
    plan = plan_epoch(config, len(tokens), progress.epoch)
    if progress.totals.steps == 0:
        training.carried = None
    training.model.train()
    training.optimizer.lr = progress.annealing.lr
    logged, began = dataclasses.replace(progress.totals), time.perf_counter()

    def log() -> None:
        nonlocal logged, began
        training.settle(time.perf_counter() - began)
        began = time.perf_counter()
        recent = progress.totals.since(logged)
        logged = dataclasses.replace(progress.totals)
        if recent.steps:
            curves.add("step", step_figures(training, recent), progress.step)
            observer.step(progress, recent, len(plan))

    for span in plan[progress.totals.steps :]:
        if stop() or finished(progress, config):
            break
        training.step(gather(tokens, span, training.model.context_size))
        if progress.step % LOG_EVERY == 0:
            log()
    log()
    return progress.totals.steps == len(plan)


def step_figures(training: Training, totals: Totals) -> dict[str, float]:
    """Figures of some steps: means of the norms of the gradient and of the update, norm of the parameters now."""
    return {
        "perplexity": perplexity(totals.nats, totals.targets),
        "lr": training.optimizer.lr,
        "grad_norm": totals.grad_norm / totals.steps,
        "clipped_fraction": totals.clipped / totals.steps,
        "update_norm": training.optimizer.lr * totals.clipped_norm / totals.steps,
        "parameter_norm": parameter_norm(training.model),
        "tokens_per_second": totals.targets / totals.seconds,
    }


def parameter_norm(model: LanguageModel) -> float:
    """The l2 norm of all parameters together."""
    norms = torch._foreach_norm([p.detach() for p in model.parameters()])
    return float(torch.linalg.vector_norm(torch.stack(list(norms))))


def fit(
    training: Training,
    train_tokens: Tokens,
    valid_tokens: Tokens,
    run: RunFolder,
    observer: Observer,
    stop: Callable[[], bool],
) -> str:
    """Train until the epochs, the steps or the learning rate run out, or `stop` says so; returns which.

    After each epoch: validate, anneal, keep the best and the last state, write metrics.jsonl. What ends within an
    epoch is saved as it is, and goes on from there when it is resumed; at the limit of steps it is validated as well.
    """
    progress, config = training.progress, training.config
    curves = Curves(run.path, from_step=progress.step + 1 if progress.step else 0)
    try:
        run.write_metrics(progress.history)
        while progress.totals.steps or not finished(progress, config):
            whole = train_epoch(training, train_tokens, observer, curves, stop)
            if not whole:
                training.save(run)
                if not finished(progress, config):
                    return "stopped"
            metrics = _end_epoch(training, valid_tokens, run)
            observer.epoch(metrics, best=progress.best_epoch == progress.epoch)
            if whole:
                curves.add(
                    "epoch", {name: metrics[name] for name in metrics.keys() - {"epoch", "step"}}, progress.epoch
                )
                curves.picture(
                    "epoch/attention", attention.picture(training.model, valid_tokens, progress.epoch), progress.epoch
                )
                curves.flush()
                training.save(run)
            run.write_metrics(progress.history)
        return finished(progress, config)
    finally:
        curves.close()


def _end_epoch(training: Training, valid_tokens: Tokens, run: RunFolder) -> dict[str, Any]:
    progress, totals = training.progress, training.progress.totals
    began = time.perf_counter()
    score = evaluate(training.model, valid_tokens)
    if not math.isfinite(score.nats):
        raise MemlmError(f"the validation loss is not finite after step {progress.step}: try a lower --lr or --clip")
    progress.epoch += 1
    figures = step_figures(training, totals)
    metrics = {
        "epoch": progress.epoch,
        "step": progress.step,
        "train_perplexity": figures["perplexity"],
        "valid_perplexity": score.perplexity,
        "lr": figures["lr"],
        "grad_norm": figures["grad_norm"],
        "clipped_fraction": figures["clipped_fraction"],
        "update_norm": figures["update_norm"],
        "parameter_norm": figures["parameter_norm"],
        "tokens_per_second": figures["tokens_per_second"],
        "seconds": totals.seconds + time.perf_counter() - began,
    }
    progress.history.append(metrics)
    progress.totals = Totals()
    progress.annealing.epoch_ended(progress.epoch, score.nats_per_token)
    if progress.best_cost is None or score.nats_per_token < progress.best_cost:
        progress.best_cost, progress.best_epoch = score.nats_per_token, progress.epoch
        meta = {"epoch": progress.epoch, "step": progress.step, "valid_perplexity": score.perplexity}
        checkpoint.save(run.best, training.model, meta)
    return metrics


def finished(progress: Progress, config: TrainConfig) -> str:
    """Why training is over (max_steps, min_lr, epochs); empty while it is not."""
    if config.max_steps and progress.step >= config.max_steps:
        return "max_steps"
    if progress.epoch and progress.annealing.lr < config.min_lr:
        return "min_lr"
    return "epochs" if progress.epoch >= config.epochs else ""


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
