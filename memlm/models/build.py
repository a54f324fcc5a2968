"""Build models from their settings. A registry maps each settings class to its model.

To add your own language model, write settings, a recipe and a model, and register them:

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class GRUConfig(NeuralSettings):
        name: ClassVar[str] = "gru"
        sampling: ClassVar[tuple[str, ...]] = ("streams",)
        units: int = setting(100, "units of the layer and of the embedding", low=1)

    @register(GRUConfig, recipe=gru)  # a function without arguments that returns a Config
    class GRU(LanguageModel): ...  # called with (config, vocabulary_size, eos)
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
    """Register a model class, or a function that makes a model, for its settings class. Also a class decorator.

    A language model is called with (config, vocabulary_size, eos), and an answerer with (config, vocabulary_size,
    restarts). `recipe` returns the default settings of a run; `memlm.recipe` then returns them for the name of the
    model. `side_by_side` is called with (config, vocabulary_size, restarts) and makes a language model of several
    restarts as one computation. Raises MemlmError if the name is taken, or if the settings can't be those of a run.

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

    def add(maker: Maker) -> Maker:
        if recipe is not None or model_settings().get(getattr(settings, "name", "")) is not settings:
            add_model(settings, recipe)
        _MAKERS[settings] = _Makers(maker, side_by_side)
        return maker

    return add if model is None else add(model)


@overload
def build(
    config: LanguageModelSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1
) -> LanguageModel: ...


@overload
def build(config: AnswererSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1) -> Answerer: ...


def build(config: ModelSettings, *, vocabulary_size: int, eos: int = 0, restarts: int = 1) -> Any:
    """A model without weights. `initialise`, a checkpoint, or counting a text fills them.

    With `restarts` above 1, that many models are one computation. Raises MemlmError if the settings class is not
    registered, or if the model has no such computation.
    """
    makers = _MAKERS.get(type(config))
    if makers is None:
        raise MemlmError(f"{type(config).__name__} has no model: register one with memlm.register")
    if isinstance(config, AnswererSettings):
        return makers.model(config, vocabulary_size, restarts)
    if restarts == 1:
        return makers.model(config, vocabulary_size, eos)
    if makers.side_by_side is None:
        raise MemlmError(f"{config.label} can't be trained side by side: train it {restarts} times")
    return makers.side_by_side(config, vocabulary_size, restarts)


def build_initialised(config: LanguageModelSettings, *, vocabulary_size: int, eos: int, seed: int) -> LanguageModel:
    """A model with random weights. They depend only on the seed, on every machine. A counted model has none."""
    model = build(config, vocabulary_size=vocabulary_size, eos=eos)
    model.initialise(seed)
    return model


def build_stacked(config: MemN2NConfig, *, vocabulary_size: int, seed: int, restarts: int) -> StackedMemN2N:
    """The models of `build_initialised` with seed, seed + 1, ..., as one computation."""
    stacked = StackedMemN2N(config, vocabulary_size, restarts)
    stacked.initialise(seed)
    return stacked


def build_answerer(config: QAConfig, vocabulary_size: int, *, restarts: int) -> Answerer:
    """A question-answering model with this number of restarts, without weights."""
    return build(config.model, vocabulary_size=vocabulary_size, restarts=restarts)


register(MemN2NConfig, lambda config, size, eos: MemN2N(config, size), side_by_side=StackedMemN2N)
register(LSTMConfig, LSTM)
register(KneserNeyConfig, KneserNey)
register(AnswererConfig, MemoryAnswerer)
register(LSTMAnswererConfig, LSTMAnswerer)
