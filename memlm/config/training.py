"""Settings of training. The defaults are the recipe of Sukhbaatar et al. 2015 (arXiv:1503.08895) and its code."""

import dataclasses
import math
import re
from typing import ClassVar

from memlm.config.settings import DEVICES, Settings, setting
from memlm.errors import MemlmError


class TrainSettings(Settings):
    """What the training of every kind of model has in common; each declares the fields, in an order of its own."""

    saves_each_epoch: ClassVar[bool]  # or only as often as checkpoint_every says: of epochs that take a moment
    restarts: int
    seed: int
    checkpoint_every: str
    on_divergence: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"\d+|\d+(\.\d+)?min", self.checkpoint_every, re.ASCII):
            raise MemlmError(
                f"checkpoint_every is {self.checkpoint_every!r}; it must be minutes, as 10min, or steps, as 500"
            )
        if self.restarts > 1 and self.on_divergence != "stop":
            raise MemlmError(
                f"on_divergence is {self.on_divergence}; with restarts it must be stop: one that diverges is left out"
            )

    @property
    def seeds(self) -> list[int]:
        """The seed of each restart: trained alone with it, a restart gives the same result."""
        return [self.seed + restart for restart in range(self.restarts)]

    @property
    def checkpoint_interval(self) -> tuple[float, float]:
        """Steps and seconds between checkpoints, of which one is infinite."""
        number = float(self.checkpoint_every.removesuffix("min")) or math.inf
        return (math.inf, 60 * number) if self.checkpoint_every.endswith("min") else (number, math.inf)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings):
    """How a model is trained: losses are summed over a batch, so rate and clip are those of the sum."""

    saves_each_epoch: ClassVar[bool] = True
    sampling: str = setting(
        "chunks",
        "chunks: each target once an epoch, in random chunks; windows: positions drawn with replacement, as the "
        "reference code does; streams: text in order with carried state, for recurrent models",
        choices=("chunks", "windows", "streams"),
    )
    batch_size: int = setting(128, "targets a step", low=1, below=2**31)
    chunk_length: int = setting(4, "consecutive targets in a row of the batch", low=1)
    lr: float = setting(0.01, "initial learning rate, on the summed loss", above=0)
    clip: float = setting(50.0, "largest l2 norm of the whole gradient of the summed loss", above=0)
    anneal_factor: float = setting(1.5, "the rate is divided by this when it is annealed", low=1)
    anneal_after: int = setting(
        0, "0: anneal when validation is no better than an epoch before; n: after every epoch from the n-th on", low=0
    )
    min_lr: float = setting(1e-5, "stop when the rate falls below this", low=0)
    epochs: int = setting(100, "at most this many passes over the training split", low=1, safe=True)
    max_steps: int = setting(0, "stop after this many steps; 0: no limit", low=0, safe=True)
    restarts: int = setting(
        1, "models trained side by side, from seed, seed + 1, ...; the best one is reported", low=1, high=1000
    )
    seed: int = setting(1, "seed of the initial weights, the sampling and the dropout", low=0, below=2**63)
    precision: str = setting(
        "auto",
        "of the output layer's products in training; auto: bfloat16 on CUDA and AMX. Evaluation is in float32",
        choices=("auto", "float32", "bfloat16"),
    )
    device: str = setting("auto", "where to compute; auto: CUDA if there is one", choices=DEVICES, safe=True)
    checkpoint_every: str = setting(
        "10min", "save this often within an epoch too: minutes as 10min, or steps as 500; 0: never", safe=True
    )
    log_every: int = setting(50, "steps between points of the curves", low=1, safe=True)
    on_divergence: str = setting(
        "stop",
        "when the loss is no longer finite: stop; or halve: back to the last checkpoint with half the rate, at most 5 "
        "times",
        choices=("stop", "halve"),
        safe=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling != "windows" and self.batch_size % self.chunk_length:
            raise MemlmError(
                f"batch_size is {self.batch_size} targets; it must be a multiple of chunk_length, {self.chunk_length}"
            )
        if self.seeds[-1] >= 2**63:
            raise MemlmError(f"seed is {self.seed}; that of each of {self.restarts} restarts must be below {2**63}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QATrainConfig(TrainSettings):
    """How restarts of a model are trained: costs are summed over a batch, so rate and clip are those of the sum."""

    saves_each_epoch: ClassVar[bool] = False
    task: str = setting("all", "a task's number, or all: each on its own")
    joint: bool = setting(False, "one model for all tasks")
    size: str = setting("1k", "training questions a task", choices=("1k", "10k"))
    restarts: int = setting(
        10, "models trained side by side, from seed, seed + 1, ...; the best one is reported", low=1
    )
    batch_size: int = setting(32, "questions a step", low=1)
    lr: float = setting(0.01, "initial learning rate, on the summed cost", above=0)
    halve_every: int = setting(25, "epochs after which the rate is halved, again and again", low=1)
    epochs: int = setting(
        100, "passes over the training questions, those of a linear start not counted", low=1, safe=True
    )
    clip: float = setting(40.0, "largest l2 norm of the gradient of each weight matrix", above=0)
    noise: float = setting(0.0, "random noise: at most this share of empty memories is added in training", low=0)
    linear_start: str = setting(
        "no",
        "begin without the softmax in the memory, until the validation cost stops falling or for fixed epochs",
        choices=("no", "validation", "fixed"),
    )
    linear_epochs: int = setting(100, "epochs of a linear start: at most, or fixed", low=1)
    linear_patience: int = setting(
        25, "epochs without a new low after which the validation cost has stopped falling", low=1
    )
    linear_lr: float = setting(0.005, "learning rate of a linear start", above=0)
    validation_share: float = setting(
        0.1, "share of the training questions that is held out: questions, whose stories stay", above=0, below=1
    )
    seed: int = setting(
        1, "seed of the first restart: its weights, held-out questions, order and noise", low=0, below=2**62
    )
    device: str = setting("auto", "where to compute; auto: CUDA if there is one", choices=DEVICES, safe=True)
    checkpoint_every: str = setting(
        "0.5min", "save this often: minutes as 0.5min, or steps as 500; 0: at the end alone", safe=True
    )
    on_divergence: str = setting(
        "stop",
        "when the loss is no longer finite: stop; or halve: back to the last checkpoint with half the rate, at most 5 "
        "times",
        choices=("stop", "halve"),
        safe=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != "all" and not (self.task.isascii() and self.task.isdigit() and len(self.task) < 10):
            raise MemlmError(f"task is {self.task!r}; it must be a task's number or all")
        if self.joint and self.task != "all":
            raise MemlmError(f"a joint model is trained on all tasks: task can't be {self.task}")
