"""Settings of the models, and the registry of them. The defaults are those of the default recipes.

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

LAYERS_END, SIZES_END = 2**10, 2**20  # a larger number of layers or units can only be a typo, and would run for ever


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings(Settings):
    """Base class of the settings of a model. Every setting has a default."""

    name: ClassVar[str]  # in config.toml and on the command line
    trained: ClassVar[bool] = True  # False: counted in one pass over the text

    @property
    def label(self) -> str:
        """Short name for tables and folders."""
        return self.name

    def resolved(self) -> Self:
        """A copy in which every setting has its final value."""
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(ModelSettings):
    """Base class of the settings of a language model."""

    sampling: ClassVar[tuple[str, ...]]  # those it can be trained with, its default first; () if it is not trained

    @property
    def trains_side_by_side(self) -> bool:
        """Whether restarts can be trained side by side, as one computation."""
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswererSettings(ModelSettings):
    """Base class of the settings of a model that answers questions about stories."""

    # Properties, so that each class lists these two settings in its own place.

    @property
    def memory_size(self) -> int:
        """Sentences before the question that the model reads, at most."""
        raise NotImplementedError

    @property
    def units(self) -> int:
        """Units of the state and of the embeddings."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuralSettings(LanguageModelSettings):
    """Base class of the settings of a language model that has hidden states and an output layer."""

    units: int
    softmax: str = setting(
        "full",
        "output layer; adaptive is faster for large vocabularies (Grave et al. 2017)",
        choices=("full", "adaptive"),
    )
    cutoffs: str = setting(
        "",
        "word ids at which the clusters of the adaptive softmax begin, as 2000,10000; empty: chosen from the word "
        "counts and the speed of this machine",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cutoffs:
            return
        if self.softmax != "adaptive":
            raise MemlmError(f"cutoffs is {self.cutoffs!r}, which needs softmax adaptive")
        if not re.fullmatch(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", self.cutoffs) or any(
            before >= after for before, after in pairwise(self.cut_at)
        ):
            raise MemlmError(f"cutoffs is {self.cutoffs!r}; it must be rising numbers above 0, as 2000,10000")

    @property
    def cut_at(self) -> tuple[int, ...]:
        """The first word id of each cluster."""
        return tuple(map(int, self.cutoffs.split(","))) if self.cutoffs else ()

    @property
    def ties_output(self) -> bool:
        """Whether the output layer shares its weights with an embedding."""
        return False

    @property
    def label(self) -> str:
        """Short name for tables and folders."""
        return self.body_label if self.softmax == "full" else f"{self.body_label}-{self.softmax}"

    @property
    def body_label(self) -> str:
        """The label without the kind of softmax."""
        return self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemN2NConfig(NeuralSettings):
    """The end-to-end memory network of Sukhbaatar et al. 2015, section 5."""

    name: ClassVar[str] = "memn2n"
    sampling: ClassVar[tuple[str, ...]] = ("chunks", "windows")
    hops: int = setting(6, "number of hops: how often the memory is read", low=1, below=LAYERS_END)
    memory_size: int = setting(100, "words in the memory: those before the target", low=1, below=SIZES_END)
    units: int = setting(150, "units of the state and of each embedding", low=1, below=SIZES_END)
    linear_units: int | None = setting(
        None, "units without a ReLU after each hop; not given: half of the units", low=0
    )
    tying: str = setting(
        "layerwise",
        "layerwise: all hops share A, C and H; adjacent: A of a hop is C of the hop before",
        choices=("layerwise", "adjacent"),
    )
    temporal_encoding: bool = setting(True, "add a learned vector to each memory slot")
    init_std: float = setting(0.05, "standard deviation of the initial weights", above=0)
    initial_state: float = setting(0.1, "value of every unit of the state before the first hop")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.linear_units is not None and self.linear_units > self.units:
            raise MemlmError(f"linear_units is {self.linear_units}; it must be at most units, {self.units}")

    def replace(self, values: Mapping[str, object], *, where: str = "settings") -> Self:
        """A copy with these values. If units change, linear_units is half of them again."""
        if values.get("units", self.units) != self.units:
            values = {"linear_units": None} | dict(values)
        return super().replace(values, where=where)

    def resolved(self) -> Self:
        """A copy in which every setting has its final value."""
        linear = self.units // 2 if self.linear_units is None else self.linear_units
        return dataclasses.replace(self, linear_units=linear)

    @property
    def ties_output(self) -> bool:
        """Whether the output layer shares its weights with an embedding."""
        return self.tying == "adjacent"

    @property
    def trains_side_by_side(self) -> bool:
        """Whether restarts can be trained side by side: with a full softmax."""
        return self.softmax == "full"

    @property
    def body_label(self) -> str:
        """Short name for tables and folders: memn2n-6x100 has 6 hops over 100 words."""
        return f"{self.name}-{self.hops}x{self.memory_size}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMConfig(NeuralSettings):
    """A recurrent baseline: word embedding, LSTM layers with carried state, softmax (Zaremba et al. 2014)."""

    name: ClassVar[str] = "lstm"
    sampling: ClassVar[tuple[str, ...]] = ("streams",)
    layers: int = setting(1, "number of LSTM layers", low=1, below=LAYERS_END)
    units: int = setting(100, "units of each layer and of the embedding", low=1, below=SIZES_END)
    dropout: float = setting(0.2, "dropout rate of the non-recurrent connections", low=0, below=1)
    init_range: float = setting(0.1, "initial weights are uniform between minus and plus this", above=0)

    @property
    def body_label(self) -> str:
        """Short name for tables and folders: lstm-2x650 has 2 layers of 650 units."""
        return f"{self.name}-{self.layers}x{self.units}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KneserNeyConfig(LanguageModelSettings):
    """N-grams with modified interpolated Kneser-Ney smoothing (Chen & Goodman 1998, Harvard TR-10-98)."""

    name: ClassVar[str] = "kneser-ney"
    trained: ClassVar[bool] = False
    sampling: ClassVar[tuple[str, ...]] = ()
    order: int = setting(5, "length of the longest n-grams, the predicted word included", low=1, below=21)

    @property
    def label(self) -> str:
        """Short name for tables and folders: kneser-ney-5 has 5-grams."""
        return f"{self.name}-{self.order}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswererConfig(AnswererSettings):
    """The end-to-end memory network over the sentences of a story [P]."""

    name: ClassVar[str] = "memn2n-qa"
    hops: int = setting(3, "number of hops: how often the memory is read", low=1)
    memory_size: int = setting(
        50, "sentences in the memory, at most; fewer if all training stories are shorter", low=1
    )
    units: int = setting(20, "units of the state and of each embedding", low=1)
    sentences: str = setting(
        "pe", "how a sentence is encoded; pe: position encoding; bow: bag of words", choices=("pe", "bow")
    )
    position_scale: float = setting(
        2.0, "factor of the position encoding; 1: as in the paper; 2: as in its code", above=0
    )
    tying: str = setting(
        "adjacent",
        "layerwise: all hops share A, C and H; adjacent: A of a hop is C of the hop before",
        choices=("layerwise", "adjacent"),
    )
    temporal_encoding: bool = setting(True, "add a learned vector to each memory slot")
    # Not in [P]. In [C] each padding slot takes part in the softmax as zeros, so that the attention paid to nothing
    # depends on the length of the story. With a single empty slot it does not.
    null_memory: bool = setting(
        True, "one more memory slot, of zeros, so that a hop can attend to nothing; padding gets no attention"
    )
    relu: bool = setting(False, "apply a ReLU to the state after each hop")
    init_std: float = setting(0.1, "standard deviation of the initial weights", above=0)

    @property
    def label(self) -> str:
        """Short name for tables and folders: memn2n-qa-3x20 has 3 hops and 20 units."""
        return f"{self.name}-{self.hops}x{self.units}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMAnswererConfig(AnswererSettings):
    """A weakly supervised baseline: an LSTM reads the story and the question; its last state gives the answer."""

    name: ClassVar[str] = "lstm-qa"
    memory_size: int = setting(50, "sentences read before the question, at most", low=1)
    units: int = setting(50, "units of the state and of the embedding", low=1)
    init_std: float = setting(0.1, "standard deviation of the initial weights", above=0)

    @property
    def label(self) -> str:
        """Short name for tables and folders: lstm-qa-50 has 50 units."""
        return f"{self.name}-{self.units}"
