"""Recipes: their settings, and their descriptions."""

from pathlib import Path

import pytest

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.recipes import RECIPES, describe, recipe
from memlm.config.run import Config, read_toml


def test_the_dropout_of_the_lstm_is_that_of_its_recipe():
    assert LSTMConfig().dropout == recipe("lstm-100").model.dropout == 0.2
    assert recipe("zaremba-small").model.dropout == 0.0


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
