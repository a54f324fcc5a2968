"""The settings that a command line asks for: what a recipe is depends on joint and size, wherever these come from."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from memlm.cli import main
from memlm.cli.options import resolve
from memlm.config.recipes import default_recipe, recipe
from memlm.config.registry import model_settings
from memlm.config.run import Config, QAConfig


def asked_for(*, config: Path | None = None, recipe: str | None = None, model: str | None = None, **options: Any):
    return resolve(recipe_name=recipe, config_file=config, dataset="babi", model=model, options=options)


def test_a_joint_model_has_the_joint_recipe():
    assert asked_for() == recipe("pe-ls-rn")
    assert asked_for(joint=True) == asked_for(joint=True, model="memn2n-qa") == recipe("pe-ls-rn-joint")
    assert asked_for(joint=True, model="lstm-qa").model == recipe("lstm").model


@pytest.mark.parametrize("name", ["pe-ls-rn-joint", "pe-ls-rn"])
def test_a_recipe_is_that_of_the_size(name: str):
    assert asked_for(recipe=name, size="10k") == recipe(name, size="10k")


def test_options_lie_on_top_of_the_recipe_for_the_size():
    wanted = recipe("pe-ls-rn-joint", size="10k").train.replace({"epochs": 7})
    assert asked_for(joint=True, size="10k", epochs=7).train == wanted
    assert (wanted.halve_every, wanted.linear_epochs) == (5, 10)


def test_a_config_file_asks_for_joint_and_size_too(tmp_path: Path):
    file = tmp_path / "own.toml"
    file.write_text('[train]\njoint = true\nsize = "10k"\nepochs = 7\n')
    assert asked_for(config=file) == asked_for(joint=True, size="10k", epochs=7)
    assert asked_for(config=file, joint=False, size="1k", epochs=100) == recipe("pe-ls-rn")


def test_help_names_the_defaults_that_there_are():
    said = " ".join(CliRunner().invoke(main, ["train", "--help"], terminal_width=400).output.split())
    assert "None" not in said
    assert "[default: words]" in said
    assert "[default: memn2n: " in said
    assert "[kneser-ney only: 5]" in said


@pytest.mark.parametrize("name", model_settings())
def test_the_defaults_of_the_command_line_are_those_of_python(name: str):
    asked = resolve(recipe_name=None, config_file=None, dataset=None, model=name, options={})
    kind: type[Any] = type(asked)
    assert asked == kind(model=model_settings()[name]()) == default_recipe(name)
    assert asked == kind.from_dict({"model": {"name": name}})


@pytest.mark.parametrize(("dataset", "kind"), [("ptb", Config), ("babi", QAConfig)])
def test_the_default_model_of_the_command_line_is_that_of_python(dataset: str, kind: type[Any]):
    assert resolve(recipe_name=None, config_file=None, dataset=dataset, model=None, options={}) == kind()
