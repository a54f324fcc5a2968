"""Build models from their settings, and the registry that says which model the settings are of.

A language model of your own needs settings, a recipe and a model, and is then used like the others:

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class GRUConfig(NeuralSettings):
        name: ClassVar[str] = "gru"
        sampling: ClassVar[tuple[str, ...]] = ("streams",)
        units: int = setting(100, "units of the layer and of the embedding", low=1)

    @register(GRUConfig, recipe=gru)  # a function without arguments that returns a Config
    class GRU(LanguageModel): ...  # made with (config, vocabulary_size, eos)
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, overload

from memlm.config.models import (
    AnswererConfig,
    AnswererSettings,
    KneserNeyConfig,
    LanguageModelSettings,
    LSTMAnswererConfig,
    LSTMConfig,
    MemN2NConfig,
    ModelSettings,
)
from memlm.config.recipes import add_model
from memlm.config.registry import model_settings
from memlm.config.run import AnyConfig, QAConfig
from memlm.errors import MemlmError
from memlm.models.answerer import Answerer, MemoryAnswerer
from memlm.models.base import LanguageModel
from memlm.models.lstm_answerer import LSTMAnswerer
from memlm.models.memn2n import MemN2N
from memlm.models.ngram.kneser_ney import KneserNey
from memlm.models.recurrent import LSTM
from memlm.models.stacked import StackedMemN2N

Maker = Callable[..., Any]
Class = TypeVar("Class", bound=Maker)


@dataclasses.dataclass(frozen=True)
class _Makers:
    model: Maker
    side_by_side: Maker | None


_MAKERS: dict[type[ModelSettings], _Makers] = {}


@overload
def register(
    settings: type[ModelSettings], *, recipe: Callable[[], AnyConfig] | None = None, side_by_side: Maker | None = None
) -> Callable[[Class], Class]: ...


@overload
def register(
    settings: type[ModelSettings],
    model: Class,
    *,
    recipe: Callable[[], AnyConfig] | None = None,
    side_by_side: Maker | None = None,
) -> Class: ...


def register(
    settings: type[ModelSettings],
    model: Maker | None = None,
    *,
    recipe: Callable[[], AnyConfig] | None = None,
    side_by_side: Maker | None = None,
) -> Any:
    """Register a model for its settings: a class or a function that makes one. Also a decorator of the class.

    A language model is made with (config, vocabulary_size, eos), an answerer with (config, vocabulary_size, restarts).
    `recipe` makes the model's default settings of a run, which `memlm.recipe` then gives under the model's name.
    `side_by_side` makes restarts of a language model as one computation, with (config, vocabulary_size, restarts).
    Raises MemlmError for a name that is taken, and for settings that can't be those of a run.

    >>> import dataclasses
    >>> from memlm.models.recurrent import LSTM
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class MyConfig(memlm.LSTMConfig):
    ...     name = "mine"
    ...     units: int = memlm.setting(20, "units of each layer", low=1)
    >>> @memlm.register(MyConfig)
    ... class Mine(LSTM):
    ...     pass
    >>> memlm.train("mine", dataset="corpus", max_steps=1, quiet=True).model
    <Mine, ... parameters>
    """

    def add(made: Maker) -> Maker:
        if recipe is not None or model_settings().get(getattr(settings, "name", "")) is not settings:
            add_model(settings, recipe)
        _MAKERS[settings] = _Makers(made, side_by_side)
        return made

    return add if model is None else add(model)


@overload
def build(
    config: LanguageModelSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1
) -> LanguageModel: ...


@overload
def build(config: AnswererSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1) -> Answerer: ...


def build(config: ModelSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1) -> Any:
    """A model whose weights are not yet drawn: `initialise` draws them, a checkpoint or a text fills them.

    With `restarts`, so many models as one computation. Raises MemlmError for settings that are not registered.
    """
    makers = _MAKERS.get(type(config))
    if makers is None:
        raise MemlmError(f"{type(config).__name__} has no model: register one first, with memlm.register")
    if isinstance(config, AnswererSettings):
        return makers.model(config, vocabulary_size, restarts)
    if restarts == 1:
        return makers.model(config, vocabulary_size, eos)
    if makers.side_by_side is None:
        raise MemlmError(f"{config.label} can't be trained side by side: train it {restarts} times")
    return makers.side_by_side(config, vocabulary_size, restarts)


def build_initialised(config: LanguageModelSettings, *, vocabulary_size: int, eos: int, seed: int) -> LanguageModel:
    """A model with random weights, which are the same for a seed on every machine; one that is counted has none."""
    model = build(config, vocabulary_size=vocabulary_size, eos=eos)
    model.initialise(seed)
    return model


def build_stacked(config: MemN2NConfig, *, vocabulary_size: int, seed: int, restarts: int) -> StackedMemN2N:
    """The models that `build_initialised` makes with seed, seed + 1, ..., as one computation."""
    stacked = StackedMemN2N(config, vocabulary_size, restarts)
    stacked.initialise(seed)
    return stacked


def build_answerer(config: QAConfig, vocabulary_size: int, *, restarts: int) -> Answerer:
    """A model of so many restarts, whose weights are not yet drawn."""
    return build(config.model, vocabulary_size=vocabulary_size, restarts=restarts)


register(MemN2NConfig, lambda config, size, eos: MemN2N(config, size), side_by_side=StackedMemN2N)
register(LSTMConfig, LSTM)
register(KneserNeyConfig, KneserNey)
register(AnswererConfig, MemoryAnswerer)
register(LSTMAnswererConfig, LSTMAnswerer)
