"""Settings of language models and of their training.

The defaults are the recipe of Sukhbaatar et al. 2015 (arXiv:1503.08895, section 5) and its reference code.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Self

from memlm.config_data import DataConfig
from memlm.config_run import ModelSettings, RunConfig
from memlm.errors import MemlmError
from memlm.settings import DEVICES, Settings, setting

PROTOCOLS = ("exact", "facebook")  # how a text is scored: memlm.evaluate
LAYERS_END, SIZES_END = 2**10, 2**20  # where a number of layers or a size can only be a slip, and would take for ever


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuralSettings(ModelSettings):
    """Base of the settings of a model with hidden states, and an output layer over them."""

    units: int
    softmax: str = setting(
        "full",
        "output layer; adaptive: faster the larger the vocabulary is (Grave et al. 2017)",
        choices=("full", "adaptive"),
    )
    cutoffs: str = setting(
        "",
        "words of the adaptive softmax before each cluster of rarer ones, as 2000,10000; empty: chosen from their "
        "counts in the training split and the speed of this machine",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cutoffs:
            return
        if self.softmax != "adaptive":
            raise MemlmError(f"cutoffs is {self.cutoffs!r}; only with softmax adaptive has it a meaning")
        if not re.fullmatch(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", self.cutoffs) or any(
            before >= after for before, after in pairwise(self.cut_at)
        ):
            raise MemlmError(f"cutoffs is {self.cutoffs!r}; it must be rising numbers above 0, as 2000,10000")

    @property
    def cut_at(self) -> tuple[int, ...]:
        """The first id of each cluster."""
        return tuple(map(int, self.cutoffs.split(","))) if self.cutoffs else ()

    @property
    def ties_output(self) -> bool:
        """Whether the output layer is an embedding too."""
        return False

    @property
    def label(self) -> str:
        """Short name for tables and folders."""
        return self.body_label if self.softmax == "full" else f"{self.body_label}-{self.softmax}"

    @property
    def body_label(self) -> str:
        """The label, of a model with a full softmax."""
        return self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemN2NConfig(NeuralSettings):
    """The end-to-end memory network of Sukhbaatar et al. 2015, section 5."""

    name: ClassVar[str] = "memn2n"
    sampling: ClassVar[tuple[str, ...]] = ("chunks", "windows")  # the ones it can be trained with
    hops: int = setting(6, "times the memory is attended to", low=1, below=LAYERS_END)
    memory_size: int = setting(100, "words before the target that the memory holds", low=1, below=SIZES_END)
    units: int = setting(150, "units of the internal state and of each embedding", low=1, below=SIZES_END)
    linear_units: int | None = setting(
        None, "units that stay linear after a hop, the others pass a ReLU; not given: half of the units", low=0
    )
    tying: str = setting(
        "layerwise",
        "layerwise: one A, C and H for all hops; adjacent: A of a hop is C of the one before",
        choices=("layerwise", "adjacent"),
    )
    temporal_encoding: bool = setting(True, "add a learnt vector to each memory slot by its position")
    init_std: float = setting(0.05, "standard deviation of the initial weights", above=0)
    initial_state: float = setting(0.1, "constant that fills the state before the first hop")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.linear_units is not None and self.linear_units > self.units:
            raise MemlmError(f"linear_units is {self.linear_units}; it must be at most units, {self.units}")

    def replace(self, values: Mapping[str, object], *, where: str = "settings") -> Self:
        """A copy with these values; other units leave open again how many of them are linear."""
        if values.get("units", self.units) != self.units:
            values = {"linear_units": None} | dict(values)
        return super().replace(values, where=where)

    def resolved(self) -> Self:
        """A copy in which nothing is left open."""
        linear = self.units // 2 if self.linear_units is None else self.linear_units
        return dataclasses.replace(self, linear_units=linear)

    @property
    def ties_output(self) -> bool:
        """Whether the output layer is an embedding too."""
        return self.tying == "adjacent"

    @property
    def body_label(self) -> str:
        """Short name for tables and folders: memn2n-6x100 is 6 hops over 100 words."""
        return f"{self.name}-{self.hops}x{self.memory_size}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMConfig(NeuralSettings):
    """A recurrent baseline: word embedding, LSTM layers with carried state, softmax (Zaremba et al. 2014)."""

    name: ClassVar[str] = "lstm"
    sampling: ClassVar[tuple[str, ...]] = ("streams",)
    layers: int = setting(1, "LSTM layers", low=1, below=LAYERS_END)
    units: int = setting(100, "units of each layer and of the embedding", low=1, below=SIZES_END)
    dropout: float = setting(0.0, "share of the non-recurrent connections dropped in training", low=0, below=1)
    init_range: float = setting(0.1, "initial weights are uniform in +- this", above=0)

    @property
    def body_label(self) -> str:
        """Short name for tables and folders: lstm-2x650 is 2 layers of 650 units."""
        return f"{self.name}-{self.layers}x{self.units}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KneserNeyConfig(ModelSettings):
    """N-grams with modified interpolated Kneser-Ney smoothing (Chen & Goodman 1998, Harvard TR-10-98)."""

    name: ClassVar[str] = "kneser-ney"
    is_counted: ClassVar[bool] = True
    sampling: ClassVar[tuple[str, ...]] = ()
    order: int = setting(5, "words of the longest n-grams: the one predicted and those before it", low=1, below=21)

    @property
    def label(self) -> str:
        """Short name for tables and folders: kneser-ney-5 is of 5-grams."""
        return f"{self.name}-{self.order}"


ModelConfig = MemN2NConfig | LSTMConfig | KneserNeyConfig
MODELS: dict[str, type[ModelConfig]] = {kind.name: kind for kind in (MemN2NConfig, LSTMConfig, KneserNeyConfig)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How a model is trained: losses are summed over a batch, so rate and clip are those of the sum."""

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
        if not re.fullmatch(r"\d+|\d+(\.\d+)?min", self.checkpoint_every, re.ASCII):
            raise MemlmError(
                f"checkpoint_every is {self.checkpoint_every!r}; it must be minutes, as 10min, or steps, as 500"
            )
        if self.seeds[-1] >= 2**63:
            raise MemlmError(f"seed is {self.seed}; that of each of {self.restarts} restarts must be below {2**63}")
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
class Config(RunConfig[ModelConfig, TrainConfig]):
    """A run of a language model."""

    tables = ("data", "model", "train")
    models = MODELS

    dataset: str = "ptb"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=MemN2NConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_counted:
            if self.train != TrainConfig():
                raise MemlmError(f"{self.model.name} is counted, not trained: it has no settings of training")
        elif self.train.sampling not in self.model.sampling:
            right = " or ".join(self.model.sampling)
            raise MemlmError(f"{self.model.name} is trained with sampling {right}, not {self.train.sampling}")
        elif self.train.restarts > 1 and not (isinstance(self.model, MemN2NConfig) and self.model.softmax == "full"):
            raise MemlmError(
                f"restarts is {self.train.restarts}, but only memn2n with a full softmax is trained side by side: "
                f"train {self.model.label} as often, each time with another --seed"
            )

    def resolved(self) -> Self:
        """A copy in which nothing is left open but what the dataset decides: memlm.data.dataset.settled."""
        return dataclasses.replace(super().resolved(), data=self.data.resolved())
