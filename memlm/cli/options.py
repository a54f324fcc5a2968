"""Command-line options. Those for settings are made from the settings: names, types, choices, help and defaults."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import click

from memlm.config.recipes import DEFAULT_RECIPE, RECIPES, default_recipe, recipe
from memlm.config.registry import ANSWERERS, MODELS
from memlm.config.run import DATASETS_OF_QUESTIONS, AnyConfig, QAConfig, changed, read_toml
from memlm.config.settings import CHECKPOINTS, DEVICES, Settings, field_types
from memlm.errors import MemlmError

Command = Callable[..., Any]


def settings_options(command: Command) -> Command:
    """Add one option for each setting of the data, the models and training."""
    defaults = {name: default_recipe(name) for name in DEFAULT_RECIPE}
    owners: dict[str, list[tuple[str, str]]] = {}
    for part in ("data", "model", "train"):
        for name, config in defaults.items():
            for setting in config.parts[part].names() if part in config.parts else ():
                owners.setdefault(setting, []).append((part, name))
    for setting, kinds in reversed(owners.items()):
        command = _option(setting, kinds, defaults)(command)
    return command


def _option(
    setting: str, owners: list[tuple[str, str]], defaults: Mapping[str, AnyConfig]
) -> Callable[[Command], Command]:
    part, name = owners[0]
    owner = type(defaults[name].parts[part])
    field = next(f for f in dataclasses.fields(owner) if f.name == setting)
    kind = field_types(owner, setting)[0]
    flag = "--" + setting.replace("_", "-")
    choices = field.metadata["choices"]
    return click.option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        default=None,
        type=click.Choice(choices) if choices else kind,
        help=f"{field.metadata['help']}{_defaults(setting, owners, defaults)}",
    )


def _defaults(setting: str, owners: list[tuple[str, str]], defaults: Mapping[str, AnyConfig]) -> str:
    """The default of each model that has the setting: `  [default: memn2n: 0.01; lstm: 0.05]`, or `  [lstm only: 1]`.

    Empty if no model has a default: then the help text of the setting explains what happens.
    """
    values = {name: getattr(defaults[name].resolved().parts[part], setting) for part, name in owners}
    if set(values.values()) == {None}:
        return ""
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    if len(shown) == 1:
        return f"  [{next(iter(shown))} only: {next(iter(shown.values()))}]"
    if len(set(shown.values())) == 1:
        return f"  [default: {next(iter(shown.values()))}]"
    return "  [default: " + "; ".join(f"{name}: {value}" for name, value in shown.items()) + "]"


def plain_options(kind: type[Settings]) -> Callable[[Command], Command]:
    """Options for all settings of one class, with the defaults of the class."""

    def add(command: Command) -> Command:
        for field in reversed(dataclasses.fields(kind)):
            flag, choices = "--" + field.name.replace("_", "-"), field.metadata["choices"]
            command = click.option(
                f"{flag}/--no-{flag[2:]}" if isinstance(field.default, bool) else flag,
                default=field.default,
                show_default=True,
                type=click.Choice(choices) if choices else field_types(kind, field.name)[0],
                help=field.metadata["help"],
            )(command)
        return command

    return add


def checkpoint_option(command: Command) -> Command:
    """--checkpoint: which checkpoint of the run to use."""
    choices = click.Choice(CHECKPOINTS)
    return click.option("--checkpoint", type=choices, default="best", show_default=True, help="which checkpoint")(
        command
    )


def device_option(command: Command) -> Command:
    """--device: where to compute."""
    return click.option(
        "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="where to compute"
    )(command)


def resolve(
    *,
    recipe_name: str | None,
    config_file: Any,
    dataset: str | None,
    model: str | None,
    options: Mapping[str, Any],
    base: AnyConfig | None = None,
) -> AnyConfig:
    """The settings of a command line: those of the recipe, then of the config file, then of the options.

    Without a recipe, a config file or a model, `base` (the settings of a run to start from) takes the place of the
    recipe. The recipe depends on `joint` and `size`, which may be in the config file or in the options. Raises
    MemlmError if they do not fit together.
    """
    values = read_toml(config_file) if config_file else {}
    tables = {part: values[part] for part in ("model", "train") if isinstance(values.get(part), dict)}
    given = {setting: value for setting, value in options.items() if value is not None}
    first = tables.get("train", {}) | given
    name = model or tables.get("model", {}).get("name")
    if name not in list(DEFAULT_RECIPE):
        name = "memn2n-qa" if (dataset or values.get("dataset")) in DATASETS_OF_QUESTIONS else "memn2n"
    if base is None or recipe_name or config_file or model:
        size, joint = first.get("size", "1k"), first.get("joint") is True
        base = recipe(recipe_name, size) if recipe_name else default_recipe(name, size, joint=joint)
    config: AnyConfig = base
    if config_file:
        kind: Any = type(config)
        config = kind.from_dict(values, base=config, where=str(config_file))
    if model and model != config.model.name:
        source = f"recipe {recipe_name}" if recipe_name else str(config_file)
        raise MemlmError(f"--model {model} does not fit {source}, which is for {config.model.name}")
    for key in given:
        if not any(key in part.names() for part in config.parts.values()):
            flag = "--" + key.replace("_", "-")
            raise MemlmError(f"{flag} is not a setting of {config.model.name}; see `memlm train --help`")
    wanted = config.dataset if dataset is None else dataset
    if isinstance(config, QAConfig) != (wanted in DATASETS_OF_QUESTIONS):
        fits = MODELS if isinstance(config, QAConfig) else ANSWERERS
        raise MemlmError(f"{config.model.name} can't be trained on {wanted}: --model {' or '.join(fits)} can")
    return changed(config, dataset, given)


def recipe_names() -> click.Choice[str]:
    """The type of the option --recipe."""
    return click.Choice(list(RECIPES))
