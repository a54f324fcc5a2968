"""The registry of models, the settings' side: which settings there are by name, and how each model is trained.

The models themselves are registered in memlm.models.build, which imports torch.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

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
from memlm.config.settings import Settings
from memlm.config.training import LSTM_TRAINING, PE_LS_RN_TRAINING, QATrainConfig, TrainConfig
from memlm.errors import MemlmError, unknown_name

MODELS: dict[str, type[LanguageModelSettings]] = {}  # language models, by name
ANSWERERS: dict[str, type[AnswererSettings]] = {}  # models that answer questions, by name
_TRAINING: dict[str, Settings] = {}  # default training settings, by name
_SAMPLINGS = {"chunks": TrainConfig(), "windows": TrainConfig(sampling="windows"), "streams": LSTM_TRAINING}


def register_settings(kind: type[ModelSettings], *, training: Settings | None = None) -> None:
    """Make settings known by their name; `training` are the default settings of training of the model.

    A class that is defined anew under its own name, as in a notebook, replaces the earlier one. Raises MemlmError for
    a name that another class has, and for settings that can't be written to config.toml.
    """
    known = model_settings()
    _check(kind)
    earlier = known.get(kind.name, kind)
    if (earlier.__module__, earlier.__qualname__) != (kind.__module__, kind.__qualname__):
        raise MemlmError(f"{kind.__name__} can't be registered: the name {kind.name!r} is that of {earlier.__name__}")
    if issubclass(kind, LanguageModelSettings):
        MODELS[kind.name] = kind
        _TRAINING[kind.name] = training or (_SAMPLINGS[kind.sampling[0]] if kind.trained else TrainConfig())
    elif issubclass(kind, AnswererSettings):
        ANSWERERS[kind.name] = kind
        _TRAINING[kind.name] = training or QATrainConfig()


def _check(kind: type[ModelSettings]) -> None:
    if not issubclass(kind, LanguageModelSettings | AnswererSettings) or not isinstance(
        getattr(kind, "name", None), str
    ):
        raise MemlmError(
            f"{kind.__name__} can't be registered: it must be a class of LanguageModelSettings or AnswererSettings, "
            f"with a name"
        )
    for field in dataclasses.fields(kind):
        if "help" not in field.metadata:
            raise MemlmError(
                f"{kind.__name__} can't be registered: {field.name} needs a default and a help text; "
                f"define it with memlm.setting"
            )
    if issubclass(kind, LanguageModelSettings) and kind.trained:
        sampling = getattr(kind, "sampling", ())
        if not sampling or not set(sampling) <= set(_SAMPLINGS):
            raise MemlmError(
                f"{kind.__name__} can't be registered: its sampling must be some of {', '.join(_SAMPLINGS)}"
            )


def model_settings() -> dict[str, type[ModelSettings]]:
    """The settings classes of all models, by name."""
    return {**MODELS, **ANSWERERS}


def check_registered(kind: type[ModelSettings]) -> None:
    """Raise MemlmError unless these settings are registered."""
    if model_settings().get(getattr(kind, "name", "")) is not kind:
        raise MemlmError(f"{kind.__name__} is not registered: register its model first, with memlm.register")


def default_training(model: ModelSettings) -> Any:
    """The training settings of the model's default recipe: a TrainConfig, or a QATrainConfig for an answerer."""
    check_registered(type(model))
    return _TRAINING[model.name]


def unknown_model(name: str, known: Iterable[str]) -> MemlmError:
    """The error for a model's name that is not known."""
    return MemlmError(
        f"{unknown_name('model', name, known)}; a model defined outside of memlm must be registered first: "
        f"import its module"
    )


register_settings(MemN2NConfig)
register_settings(LSTMConfig)
register_settings(KneserNeyConfig)
register_settings(AnswererConfig, training=PE_LS_RN_TRAINING)
register_settings(LSTMAnswererConfig)
