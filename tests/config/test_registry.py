"""The registry of settings: what can be registered, and the training of each model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest

from memlm.config import registry
from memlm.config.models import (
    AnswererConfig,
    KneserNeyConfig,
    LanguageModelSettings,
    LSTMConfig,
    MemN2NConfig,
)
from memlm.config.settings import setting
from memlm.config.training import LSTM_TRAINING, PE_LS_RN_TRAINING, TrainConfig
from memlm.errors import MemlmError
from tests.helpers.registries import restored_registries


@dataclass(frozen=True, kw_only=True)
class Own(LanguageModelSettings):
    """A model of one's own."""

    name: ClassVar[str] = "own"
    sampling: ClassVar[tuple[str, ...]] = ("windows", "chunks")
    units: int = setting(3, "units", low=1)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    with restored_registries():
        yield


def test_language_models_and_answerers_are_apart_and_together():
    assert set(registry.MODELS) == {"memn2n", "lstm", "kneser-ney"}
    assert set(registry.ANSWERERS) == {"memn2n-qa", "lstm-qa"}
    assert registry.model_settings().keys() == registry.MODELS.keys() | registry.ANSWERERS.keys()


def test_each_model_has_training_settings_of_its_own():
    assert registry.default_training(MemN2NConfig()) == TrainConfig()
    assert registry.default_training(LSTMConfig()) == LSTM_TRAINING
    assert registry.default_training(AnswererConfig()) == PE_LS_RN_TRAINING
    assert registry.default_training(KneserNeyConfig()) == TrainConfig()


def test_a_model_is_trained_by_its_first_sampling_unless_it_says_how():
    with pytest.raises(MemlmError, match="Own is not registered: register its model first"):
        registry.default_training(Own())
    registry.register_settings(Own)
    assert registry.default_training(Own()).sampling == "windows"
    registry.register_settings(Own, training=TrainConfig(lr=0.5))
    assert registry.default_training(Own()).lr == 0.5


def test_an_unknown_model_may_be_one_that_is_not_registered_yet():
    message = str(registry.unknown_model("lstn", ["lstm", "memn2n"]))
    assert message.startswith("unknown model 'lstn': did you mean 'lstm'? known are lstm, memn2n; a model defined")
