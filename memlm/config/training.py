"""Settings of training. The defaults of each class are the recipe of [P] for its memory network; [C] is its code.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] is https://github.com/facebookarchive/MemNN.
"""

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
    """How a language model is trained. The loss is summed over a batch; lr and clip are for that sum."""

    saves_each_epoch: ClassVar[bool] = True
    sampling: str = setting(
        "chunks",
        "chunks: each target once per epoch, in random chunks; windows: positions drawn with replacement, as in the "
        "paper's code; streams: text in order with carried state, for recurrent models",
        choices=("chunks", "windows", "streams"),
    )
    batch_size: int = setting(128, "targets per step", low=1, below=2**31)
    chunk_length: int = setting(4, "consecutive targets in each row of the batch", low=1)
    lr: float = setting(0.01, "initial learning rate, for the summed loss", above=0)
    clip: float = setting(50.0, "largest norm of the gradient of the summed loss", above=0)
    anneal_factor: float = setting(1.5, "the learning rate is divided by this when it is annealed", low=1)
    anneal_after: int = setting(
        0,
        "0: anneal if the validation loss did not fall in an epoch; n: anneal after every epoch from epoch n on",
        low=0,
    )
    min_lr: float = setting(1e-5, "stop when the learning rate falls below this", low=0)
    epochs: int = setting(100, "passes over the training split, at most", low=1, safe=True)
    max_steps: int = setting(0, "stop after this many steps; 0: no limit", low=0, safe=True)
    restarts: int = setting(
        1, "models trained side by side, with seeds seed, seed + 1, ...; the best one is reported", low=1, high=1000
    )
    seed: int = setting(1, "random seed of the initial weights, the sampling and the dropout", low=0, below=2**63)
    precision: str = setting(
        "auto",
        "of the output layer in training; auto: bfloat16 on CUDA and AMX. Evaluation is in float32",
        choices=("auto", "float32", "bfloat16"),
    )
    device: str = setting("auto", "where to compute; auto: CUDA if there is one", choices=DEVICES, safe=True)
    checkpoint_every: str = setting(
        "10min", "time between checkpoints within an epoch: minutes, as 10min, or steps, as 500; 0: none", safe=True
    )
    log_every: int = setting(50, "steps between points of the training curves", low=1, safe=True)
    on_divergence: str = setting(
        "stop",
        "if the loss is not finite; stop: end the run; halve: go back to the last checkpoint with half the learning "
        "rate, at most 5 times",
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
    """How restarts of an answerer are trained. The loss is summed over a batch; lr and clip are for that sum."""

    saves_each_epoch: ClassVar[bool] = False
    task: str = setting("all", "number of a task, or all: one model per task")
    joint: bool = setting(False, "one model for all tasks")
    size: str = setting("1k", "training questions per task", choices=("1k", "10k"))
    restarts: int = setting(
        10, "models trained side by side, with seeds seed, seed + 1, ...; the best one is reported", low=1
    )
    batch_size: int = setting(32, "questions per step", low=1)
    lr: float = setting(0.01, "initial learning rate, for the summed loss", above=0)
    halve_every: int = setting(25, "halve the learning rate every this many epochs", low=1)
    epochs: int = setting(100, "passes over the training questions, without those of a linear start", low=1, safe=True)
    clip: float = setting(40.0, "largest norm of the gradient of each weight matrix", above=0)
    noise: float = setting(0.0, "random noise: share of empty memories added in training, at most", low=0)
    linear_start: str = setting(
        "no",
        "at first train without the memory's softmax: until the validation loss stops falling, or for fixed epochs",
        choices=("no", "validation", "fixed"),
    )
    linear_epochs: int = setting(100, "epochs of the linear start: at most, or fixed", low=1)
    linear_patience: int = setting(25, "epochs without a lower validation loss that end the linear start", low=1)
    linear_lr: float = setting(0.005, "learning rate of the linear start", above=0)
    validation_share: float = setting(0.1, "share of the training questions held out for validation", above=0, below=1)
    seed: int = setting(
        1, "random seed of the first restart: initial weights, held-out questions, order and noise", low=0, below=2**62
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


# The training settings of the default recipes, where they are not those of the class.

# Mikolov et al. 2014 give no more than the units. Rows, learning rate and clip are those of Zaremba et al. 2014, who
# take the mean over 20 rows of losses summed over time: for the sum, 20 times less rate and 20 times more clip.
# The schedule was chosen on PTB's validation split, as the dropout was (RESULTS.md).
LSTM_TRAINING = TrainConfig(
    sampling="streams",
    batch_size=20 * 35,
    chunk_length=35,
    lr=1 / 20,
    clip=5 * 20,
    anneal_factor=1.5,
    anneal_after=5,
    epochs=16,
)

# The learning rate after a linear start has a value of its own, and a linear start takes 20 epochs [C]; [P] does not
# say when a loss has stopped falling.
PE_LS_TRAINING = QATrainConfig(linear_start="fixed", linear_epochs=20, lr=0.005)
PE_LS_RN_TRAINING = PE_LS_TRAINING.replace({"noise": 0.1})
