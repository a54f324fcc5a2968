"""Settings validate themselves, survive TOML, and refuse what they do not know."""

import re
from pathlib import Path
from typing import Any

import pytest

from memlm.config.data import DataConfig, shares_of
from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.recipes import RECIPES, describe, recipe
from memlm.config.run import Config, read_toml
from memlm.config.training import TrainConfig
from memlm.errors import MemlmError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_toml(name: str, tmp_path: Path):
    config = recipe(name).resolved()
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert type(config).from_dict(read_toml(path)) == config
    assert len(describe(name)) > 20


def test_the_default_is_the_recipe_of_the_paper():
    config = Config().resolved()
    assert config.model == MemN2NConfig(hops=6, memory_size=100, units=150, linear_units=75, init_std=0.05)
    assert (config.train.lr, config.train.batch_size, config.train.clip) == (0.01, 128, 50)
    assert (config.train.anneal_factor, config.train.min_lr, config.train.epochs) == (1.5, 1e-5, 100)


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nhop = 3", "unknown setting in [model] of FILE, for memn2n, 'hop': did you mean 'hops'?"),
        ("[training]\nlr = 1", "unknown key in FILE 'training': did you mean 'train'?"),
        ("[model]\nname = 'gru'", "known are memn2n, lstm, kneser-ney; a model defined outside of memlm must be "),
        ("model = 3", "FILE: model must be a table, [model]"),
        ("dataset = 3", "FILE: dataset is 3; it must be a name, a folder or a file"),
        ("[model\n", "FILE is not valid TOML"),
        ("[model]\nname = 'lstm'\n[train]\nsampling = 'chunks'", "lstm is trained with sampling streams, not chunks"),
    ],
)
def test_bad_files_are_named(text: str, message: str, tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(MemlmError, match=re.escape(message.replace("FILE", str(path)))):
        Config.from_dict(read_toml(path), where=str(path))


def test_a_dataset_whose_name_is_no_text_is_named():
    with pytest.raises(MemlmError, match=r"dataset is 'a\\udcff'; config.toml can hold only UTF-8 names"):
        Config(dataset="a\udcff")


@pytest.mark.parametrize("values", [{"hops": 2**10}, {"units": 10**30}, {"memory_size": 2**20}])
def test_a_size_that_would_take_for_ever_is_a_slip(values: dict[str, Any]):
    with pytest.raises(MemlmError, match="it must be below"):
        MemN2NConfig(**values)


def test_a_change_of_units_moves_the_linear_half():
    assert MemN2NConfig(units=150).replace({"units": 40}).resolved().linear_units == 20


def test_settings_of_a_text_survive_toml(tmp_path: Path):
    data = DataConfig(min_count=3, vocab_size=100, lowercase=True, split="8,1,1")
    path = tmp_path / "config.toml"
    for config in (Config(data=data).resolved(), Config(data=DataConfig(tokenizer="sentencepiece", pieces="bpe"))):
        path.write_text(config.to_toml())
        assert Config.from_dict(read_toml(path)) == config
    path.write_text("[data]\nmin_cuont = 3")
    with pytest.raises(
        MemlmError, match=r"unknown setting in \[data\] of config 'min_cuont': did you mean 'min_count'"
    ):
        Config.from_dict(read_toml(path))


def test_a_config_without_settings_of_its_text_has_the_defaults(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text("[train]\nepochs = 3")
    assert Config.from_dict(read_toml(path)).data == DataConfig()


def test_shares_add_up_to_one():
    assert [float(share) for share in shares_of("90,5,5")] == [0.9, 0.05, 0.05]
    assert sum(shares_of("3,1,0.5")) == 1


def test_seeds_of_all_restarts_are_seeds():
    with pytest.raises(MemlmError, match="that of each of 2 restarts must be below"):
        TrainConfig(seed=2**63 - 1, restarts=2)
