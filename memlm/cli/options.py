"""Options of `memlm train`, made from the settings themselves: names, types, limits, help and defaults."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import click

from memlm.config import DEVICES, MODELS, Config, Settings, TrainConfig, field_types, read_toml
from memlm.errors import MemlmError
from memlm.recipes import DEFAULT_RECIPE, RECIPES, recipe

Command = Callable[..., Any]


def settings_options(command: Command) -> Command:
    """Add an option for each setting of the models and of training."""
    defaults = {name: recipe(DEFAULT_RECIPE[name]) for name in MODELS}
    owners: dict[str, list[tuple[type, str]]] = {}
    for name, kind in MODELS.items():
        for setting in kind.names():
            owners.setdefault(setting, []).append((kind, name))
    options = [_option(setting, kinds, defaults) for setting, kinds in owners.items()]
    trained: list[tuple[type, str]] = [(TrainConfig, name) for name, kind in MODELS.items() if kind.sampling]
    options += [_option(setting, trained, defaults) for setting in TrainConfig.names()]
    for option in reversed(options):
        command = option(command)
    return command


def _option(
    setting: str, owners: list[tuple[type, str]], defaults: Mapping[str, Config]
) -> Callable[[Command], Command]:
    owner = owners[0][0]
    field = next(f for f in dataclasses.fields(owner) if f.name == setting)
    kind = field_types(owner, setting)[0]
    flag = "--" + setting.replace("_", "-")
    choices = field.metadata["choices"]
    return click.option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        default=None,
        type=click.Choice(choices) if choices else kind,
        help=f"{field.metadata['help']}  [{_defaults(setting, owners, defaults)}]",
    )


def _defaults(setting: str, owners: list[tuple[type, str]], defaults: Mapping[str, Config]) -> str:
    """The default of each model that has the setting: `0.01; lstm: 0.05`, or `lstm only: 1`."""
    values = {}
    for owner, name in owners:
        part = defaults[name].train if owner is TrainConfig else defaults[name].model.resolved()
        values[name] = getattr(part, setting)
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    if len(shown) == 1:
        return f"{next(iter(shown))} only: {next(iter(shown.values()))}"
    if len(set(shown.values())) == 1:
        return f"default: {next(iter(shown.values()))}"
    return "default: " + "; ".join(f"{name}: {value}" for name, value in shown.items())


def plain_options(kind: type[Settings]) -> Callable[[Command], Command]:
    """Options for all settings of a class, with its own defaults."""

    def add(command: Command) -> Command:
        for field in reversed(dataclasses.fields(kind)):  # type: ignore[arg-type]
            flag = "--" + field.name.replace("_", "-")
            command = click.option(
                f"{flag}/--no-{flag[2:]}" if isinstance(field.default, bool) else flag,
                default=field.default,
                show_default=True,
                help=field.metadata["help"],
            )(command)
        return command

    return add


def checkpoint_option(command: Command) -> Command:
    """--checkpoint: which state of a run."""
    choices = click.Choice(["best", "last"])
    return click.option("--checkpoint", type=choices, default="best", show_default=True, help="which state")(command)


def device_option(command: Command) -> Command:
    """--device: where to compute."""
    return click.option(
        "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="where to compute"
    )(command)


def resolve(
    *, recipe_name: str | None, config_file: Any, dataset: str | None, model: str | None, options: Mapping[str, Any]
) -> Config:
    """The settings that a command line asks for: recipe, then config file, then options, the later ones on top."""
    values = read_toml(config_file) if config_file else {}
    table = values.get("model", {})
    in_file = table.get("name") if isinstance(table, dict) else None
    name = model or in_file
    config = recipe(recipe_name or DEFAULT_RECIPE.get(name or "", "memn2n"))
    if config_file:
        config = Config.from_dict(values, base=config, where=str(config_file))
    if model and model != config.model.name:
        source = f"recipe {recipe_name}" if recipe_name else str(config_file)
        raise MemlmError(f"--model {model} does not fit {source}, which is of {config.model.name}")
    given = {setting: value for setting, value in options.items() if value is not None}
    of_model = {key: value for key, value in given.items() if key in config.model.names()}
    of_training = {key: value for key, value in given.items() if not config.is_counted and key in TrainConfig.names()}
    for key in given:
        if key not in of_model and key not in of_training:
            flag = "--" + key.replace("_", "-")
            raise MemlmError(f"{flag} is not a setting of {config.model.name}; see `memlm train --help`")
    return dataclasses.replace(
        config,
        dataset=config.dataset if dataset is None else dataset,
        model=config.model.replace(of_model),
        train=config.train.replace(of_training),
    )


def recipe_names() -> click.Choice[str]:
    """The type of --recipe."""
    return click.Choice(list(RECIPES))
