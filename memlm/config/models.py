"""Settings of the models. Their defaults are those of the default recipes.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import dataclasses
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Self

from memlm.config.settings import Settings, setting
from memlm.errors import MemlmError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings(Settings):
    """Base of the settings of a model."""

    name: ClassVar[str]
    is_counted: ClassVar[bool] = False  # in one pass over the text, not trained in steps

    @property
    def label(self) -> str:
        """Short name for tables and folders."""
        return self.name

    def resolved(self) -> Self:
        """A copy in which nothing is left open."""
        return self


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
