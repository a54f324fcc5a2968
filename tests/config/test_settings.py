"""Settings validate themselves: a bad value is named with its limit."""

import re
from typing import Any

import pytest

from memlm.config.data import DataConfig
from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.errors import MemlmError


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (MemN2NConfig, {"hops": 0}, "hops is 0; it must be at least 1"),
        (MemN2NConfig, {"hops": 2.5}, "hops is 2.5; it must be int"),
        (MemN2NConfig, {"hops": True}, "hops is True; it must be int"),
        (MemN2NConfig, {"linear_units": 151}, "linear_units is 151; it must be at most units, 150"),
        (MemN2NConfig, {"tying": "adjacant"}, "unknown tying 'adjacant': did you mean 'adjacent'?"),
        (MemN2NConfig, {"init_std": float("nan")}, "init_std is nan; it must be finite"),
        (MemN2NConfig, {"initial_state": -1e300}, "initial_state is -1e+300; it must be finite, and below 1e+38"),
        (TrainConfig, {"lr": 10**400}, "lr is inf; it must be finite, and below 1e+38"),
        (LSTMConfig, {"dropout": 1.0}, "dropout is 1.0; it must be below 1"),
        (TrainConfig, {"lr": 0.0}, "lr is 0.0; it must be above 0"),
        (TrainConfig, {"lr": "fast"}, "lr is 'fast'; it must be float"),
        (TrainConfig, {"batch_size": 130}, "it must be a multiple of chunk_length"),
        (DataConfig, {"vocab_size": 2}, "vocab_size is 2; it must be at least 3"),
        (DataConfig, {"level": "char", "tokenizer": "sentencepiece"}, "level is char, which tokenizer sentencepiece"),
        (DataConfig, {"pieces": "bpe"}, "pieces is bpe, which only tokenizer sentencepiece has"),
        (DataConfig, {"tokenizer": "sentencepiece", "min_count": 5}, "min_count is 5, which does not fit tokenizer"),
        (DataConfig, {"split": "90,10"}, "split is '90,10'; it must be the shares of train, valid and test"),
        (DataConfig, {"split": "90,10,0"}, "split is '90,10,0'; it must be the shares of train, valid and test"),
        (DataConfig, {"split": "1e9999999,1,1"}, "it must be the shares of train, valid and test, as 90,5,5"),
        (TrainConfig, {"checkpoint_every": "1h"}, "checkpoint_every is '1h'; it must be minutes, as 10min, or steps"),
        (TrainConfig, {"checkpoint_every": "-1"}, "checkpoint_every is '-1'; it must be minutes, as 10min, or steps"),
        (TrainConfig, {"checkpoint_every": ""}, "checkpoint_every is ''; it must be minutes, as 10min, or steps"),
    ],
)
def test_bad_values_are_named(kind: Any, values: dict[str, Any], message: str):
    with pytest.raises(MemlmError, match=re.escape(message)):
        kind(**values)
