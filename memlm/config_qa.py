"""Settings of question answering over stories: the models and their training.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, section 4; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import dataclasses
from typing import ClassVar

from memlm.config_run import ModelSettings, RunConfig
from memlm.errors import MemlmError
from memlm.settings import DEVICES, Settings, setting

DATASETS_OF_QUESTIONS = ("babi", "stories-qa")  # whose tasks are in memlm.data.tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswererConfig(ModelSettings):
    """The end-to-end memory network over a story's sentences [P]."""

    name: ClassVar[str] = "memn2n-qa"
    hops: int = setting(3, "times the memory is attended to", low=1)
    memory_size: int = setting(
        50, "sentences before the question that the memory holds; at most the longest story of training", low=1
    )
    units: int = setting(20, "units of the internal state and of each embedding", low=1)
    sentences: str = setting(
        "pe", "pe: a word's place in its sentence counts (position encoding); bow: bag of words", choices=("pe", "bow")
    )
    position_scale: float = setting(
        2.0, "weights of position encoding times this: 1 is the paper's formula, 2 what its code did", above=0
    )
    tying: str = setting(
        "adjacent",
        "layerwise: one A, C and H for all hops; adjacent: A of a hop is C of the one before",
        choices=("layerwise", "adjacent"),
    )
    temporal_encoding: bool = setting(True, "add a learnt vector to each memory slot by its position")
    # Not in [P]. In [C] every slot of the padding takes part in the softmax, as zeros, so that what a hop gives to
    # nothing depends on the story's length; with one slot it does not.
    null_memory: bool = setting(
        True, "one slot more, of zeros, for every story: a hop can look at nothing. Empty slots get no attention"
    )
    relu: bool = setting(False, "a ReLU on the state after each hop")
    init_std: float = setting(0.1, "standard deviation of the initial weights", above=0)

    @property
    def label(self) -> str:
        """Short name for tables and folders: memn2n-qa-3x20 is 3 hops of 20 units."""
        return f"{self.name}-{self.hops}x{self.units}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMAnswererConfig(ModelSettings):
    """A weakly supervised baseline: an LSTM reads the story and the question, its last state answers."""

    name: ClassVar[str] = "lstm-qa"
    memory_size: int = setting(50, "sentences before the question that are read", low=1)
    units: int = setting(50, "units of the state and of the embedding", low=1)
    init_std: float = setting(0.1, "standard deviation of the initial weights", above=0)

    @property
    def label(self) -> str:
        """Short name for tables and folders: lstm-qa-50 has 50 units."""
        return f"{self.name}-{self.units}"


ReaderConfig = AnswererConfig | LSTMAnswererConfig
READERS: dict[str, type[AnswererConfig] | type[LSTMAnswererConfig]] = {
    kind.name: kind for kind in (AnswererConfig, LSTMAnswererConfig)
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QATrainConfig(Settings):
    """How restarts of a model are trained: costs are summed over a batch, so rate and clip are those of the sum."""

    task: str = setting("all", "a task's number, or all: each on its own")
    joint: bool = setting(False, "one model for all tasks")
    size: str = setting("1k", "training questions a task", choices=("1k", "10k"))
    restarts: int = setting(
        10, "models trained side by side, from seed, seed + 1, ...; the best one is reported", low=1
    )
    batch_size: int = setting(32, "questions a step", low=1)
    lr: float = setting(0.01, "initial learning rate, on the summed cost", above=0)
    halve_every: int = setting(25, "epochs after which the rate is halved, again and again", low=1)
    epochs: int = setting(100, "passes over the training questions, those of a linear start not counted", low=1)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != "all" and not (self.task.isascii() and self.task.isdigit() and len(self.task) < 10):
            raise MemlmError(f"task is {self.task!r}; it must be a task's number or all")
        if self.joint and self.task != "all":
            raise MemlmError(f"a joint model is trained on all tasks: task can't be {self.task}")

    @property
    def seeds(self) -> list[int]:
        """The seed of each restart: trained alone with it, a restart gives the same result."""
        return [self.seed + restart for restart in range(self.restarts)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QAConfig(RunConfig[ReaderConfig, QATrainConfig]):
    """A run that answers questions about stories."""

    models = READERS

    dataset: str = "babi"
    model: ReaderConfig = dataclasses.field(default_factory=AnswererConfig)
    train: QATrainConfig = dataclasses.field(default_factory=QATrainConfig)
