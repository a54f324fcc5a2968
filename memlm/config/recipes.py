"""Recipes: named settings. The docstring of each gives source, command and expected result.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; results without another source are the paper's.
[C] is its code, https://github.com/facebookarchive/MemNN.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from memlm.config.models import (
    AnswererConfig,
    KneserNeyConfig,
    LanguageModelSettings,
    LSTMAnswererConfig,
    LSTMConfig,
    MemN2NConfig,
    ModelSettings,
)
from memlm.config.paper import TABLE1, TABLE2_PTB
from memlm.config.registry import model_settings, register_settings
from memlm.config.run import AnyConfig, Config, QAConfig
from memlm.config.training import PE_LS_RN_TRAINING, PE_LS_TRAINING, QATrainConfig, TrainConfig
from memlm.errors import MemlmError, unknown_name


def table2(*, hops: int, memory_size: int) -> Config:
    """A row of [P] Table 2: MemN2N on PTB, 150 units."""
    return Config(dataset="ptb", model=MemN2NConfig(hops=hops, memory_size=memory_size))


def memn2n() -> Config:
    """[P] Table 2, 6 hops, memory 100: `memlm train --dataset ptb --hops 6`; 122/115"""
    return table2(hops=6, memory_size=100)


def lstm_100() -> Config:
    """[P] Table 2, LSTM (Mikolov et al. 2014): `memlm train --dataset ptb --model lstm`; 120/115"""
    return Config(dataset="ptb", model=LSTMConfig())


def _zaremba(model: LSTMConfig, *, unroll: int, after: int, factor: float, epochs: int, clip: float) -> Config:
    """Zaremba et al. take the mean over 20 rows of losses summed over time. memlm takes the sum over the rows too.

    So the learning rate is 20 times smaller, and the clip 20 times larger.
    """
    rows = 20
    train = TrainConfig(
        sampling="streams",
        batch_size=rows * unroll,
        chunk_length=unroll,
        lr=1 / rows,
        clip=clip * rows,
        anneal_factor=factor,
        anneal_after=after,
        epochs=epochs,
    )
    return Config(dataset="ptb", model=model, train=train)


def zaremba_small() -> Config:
    """Zaremba et al. 2014, small, https://arxiv.org/abs/1409.2329: `--recipe zaremba-small`; 120.7/114.5"""
    model = LSTMConfig(layers=2, units=200, dropout=0.0, init_range=0.1)
    return _zaremba(model, unroll=20, after=4, factor=2, epochs=13, clip=5)


def zaremba_medium() -> Config:
    """Zaremba et al. 2014, medium: `--recipe zaremba-medium`; 86.2/82.7"""
    model = LSTMConfig(layers=2, units=650, dropout=0.5, init_range=0.05)
    return _zaremba(model, unroll=35, after=6, factor=1.2, epochs=39, clip=5)


def zaremba_large() -> Config:
    """Zaremba et al. 2014, large: `--recipe zaremba-large`; 82.2/78.4"""
    model = LSTMConfig(layers=2, units=1500, dropout=0.65, init_range=0.04)
    return _zaremba(model, unroll=35, after=14, factor=1.15, epochs=55, clip=10)


def kneser_ney() -> Config:
    """Kneser-Ney 5-grams (Mikolov et al. 2011, KN5): `memlm train --dataset ptb --model kneser-ney`; -/141.2

    "Empirical Evaluation and Combination of Advanced Language Modeling Techniques", Interspeech 2011.
    """
    return Config(dataset="ptb", model=KneserNeyConfig(order=5))


def demo_memn2n() -> Config:
    """`make demo`: a small memory network on generated stories; `memlm data info stories` shows their entropy"""
    model = MemN2NConfig(hops=4, memory_size=60, units=100)
    return Config(dataset="stories", model=model, train=TrainConfig(lr=0.03, epochs=16))


def demo_lstm() -> Config:
    """`make demo`: an LSTM for comparison"""
    config = lstm_100()
    return dataclasses.replace(config, dataset="stories", train=config.train.replace({"epochs": 10}))


def bow() -> QAConfig:
    """Bag of words, temporal encoding, 3 hops; one model per task."""
    return QAConfig(model=AnswererConfig(sentences="bow"), train=QATrainConfig())


def pe() -> QAConfig:
    """Position encoding (PE)."""
    return QAConfig(train=QATrainConfig())


def pe_ls() -> QAConfig:
    """PE and linear start (LS)."""
    return QAConfig(train=PE_LS_TRAINING)


def pe_ls_rn() -> QAConfig:
    """PE, LS and random noise (RN)."""
    return QAConfig(train=PE_LS_RN_TRAINING)


def joint(config: QAConfig) -> QAConfig:
    """One model of 50 units for all tasks; 60 epochs, lr halved every 15, a linear start of 30 epochs [C]."""
    config = dataclasses.replace(config, model=config.model.replace({"units": 50}))
    return _train(config, joint=True, epochs=60, halve_every=15, linear_epochs=30)


def hops_pe_ls_joint(hops: int) -> QAConfig:
    """PE and LS, one model for all tasks."""
    config = joint(pe_ls())
    return dataclasses.replace(config, model=config.model.replace({"hops": hops}))


def pe_ls_rn_joint() -> QAConfig:
    """PE, LS and RN, one model for all tasks."""
    return joint(pe_ls_rn())


def pe_ls_lw_joint() -> QAConfig:
    """PE, LS and layer-wise tying (LW), one model for all tasks."""
    config = joint(pe_ls())
    return dataclasses.replace(config, model=config.model.replace({"tying": "layerwise"}))


def lstm() -> QAConfig:
    """The weakly supervised LSTM baseline, which reads story and question word by word; one model per task."""
    return QAConfig(model=LSTMAnswererConfig())


def _train(config: QAConfig, **values: object) -> QAConfig:
    return dataclasses.replace(config, train=config.train.replace(values))


RECIPES: dict[str, Callable[[], AnyConfig]] = {
    "memn2n": memn2n,
    "lstm-100": lstm_100,
    **{f"table2-{k}x{n}": partial(table2, hops=k, memory_size=n) for k, n in TABLE2_PTB},
    "zaremba-small": zaremba_small,
    "zaremba-medium": zaremba_medium,
    "zaremba-large": zaremba_large,
    "kneser-ney": kneser_ney,
    "demo-memn2n": demo_memn2n,
    "demo-lstm": demo_lstm,
    # Columns of [P] Table 1
    "bow": bow,
    "pe": pe,
    "pe-ls": pe_ls,
    "pe-ls-rn": pe_ls_rn,
    **{f"{hops}hop-pe-ls-joint": partial(hops_pe_ls_joint, hops) for hops in (1, 2, 3)},
    "pe-ls-rn-joint": pe_ls_rn_joint,
    "pe-ls-lw-joint": pe_ls_lw_joint,
    "lstm": lstm,
}
DEFAULT_RECIPE = {  # of each model
    "memn2n": "memn2n",
    "lstm": "lstm-100",
    "kneser-ney": "kneser-ney",
    "memn2n-qa": "pe-ls-rn",
    "lstm-qa": "lstm",
}
DEFAULT_JOINT = "pe-ls-rn-joint"  # of memn2n-qa, for one model for all tasks


def recipe(name: str, size: str = "1k") -> Any:
    """The settings of a recipe, or of a model's default recipe: a Config, or a QAConfig for questions.

    A name that is both is the recipe's: `lstm` is the column of Table 1. `size` is that of the question-answering
    tasks: with 10k, a joint model has 20 epochs, lr halved every 5 [P]. Raises MemlmError for an unknown name.

    >>> memlm.recipe("memn2n").model.hops
    6
    >>> memlm.recipe("pe-ls-rn").train.noise
    0.1
    """
    if name not in RECIPES and name not in DEFAULT_RECIPE:
        raise unknown_name("recipe", name, dict.fromkeys([*RECIPES, *DEFAULT_RECIPE]))
    config = RECIPES[name if name in RECIPES else DEFAULT_RECIPE[name]]()
    if not isinstance(config, QAConfig):
        return config
    config = _train(config, size=size)
    if config.train.joint and size == "10k":
        return _train(config, epochs=20, halve_every=5, linear_epochs=10)
    return config


def default_recipe(model: str, size: str = "1k", *, joint: bool = False) -> Any:
    """The settings of a model's default recipe: a Config, or a QAConfig for questions.

    `joint` asks for that of one model for all tasks, where the model has such a recipe.
    """
    if model not in DEFAULT_RECIPE:
        raise unknown_name("model", model, DEFAULT_RECIPE)
    return recipe(DEFAULT_JOINT if joint and model == "memn2n-qa" else DEFAULT_RECIPE[model], size)


def recipes() -> dict[str, str]:
    """All recipes: name -> one-line description.

    >>> memlm.recipes()["kneser-ney"]
    'Kneser-Ney 5-grams (Mikolov et al. 2011, KN5): ...'
    """
    return {name: describe(name) for name in RECIPES}


def describe(name: str) -> str:
    """One line: source, command, and the result to expect: perplexity (valid/test), or mean error and failed tasks."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    build: Any = RECIPES[name]
    said = str(getattr(build, "func", build).__doc__ or build().model.__doc__).splitlines()[0]
    if name in TABLE1:
        column = TABLE1[name]
        hops = f"hops {build.args[0]}: " if isinstance(build, partial) else ""
        results = f"{column.mean_error['1k']}% error, {column.failed_tasks['1k']} tasks failed"
        return f"[P] Table 1, {hops}{said} `memlm train --dataset babi --recipe {name}`; {results}"
    if isinstance(build, partial):
        hops, memory_size = build.keywords["hops"], build.keywords["memory_size"]
        row = f"[P] Table 2, {hops} hops, memory {memory_size}: `--recipe {name}`"
        return f"{row}; {TABLE2_PTB[hops, memory_size]}"
    return said


def add_model(kind: type[ModelSettings], build: Callable[[], AnyConfig] | None = None) -> None:
    """Register the settings of a model and its default recipe, which has the model's name.

    `build` makes the recipe; its training settings become the model's defaults. Without it, the recipe has the
    defaults of the settings. Raises MemlmError for settings or a name that can't be registered.
    """
    name = getattr(kind, "name", "")
    if name in RECIPES and name not in model_settings():
        raise MemlmError(f"{kind.__name__} can't be registered: {name!r} is the name of a recipe")
    register_settings(kind)
    build = build or (lambda: _plain(kind))
    config = build()
    if not isinstance(config.model, kind):
        raise MemlmError(f"the recipe of {kind.__name__} is of {type(config.model).__name__}: give its own")
    register_settings(kind, training=config.train)
    RECIPES[kind.name], DEFAULT_RECIPE[kind.name] = build, kind.name


def _plain(kind: type[ModelSettings]) -> AnyConfig:
    return Config(model=kind()) if issubclass(kind, LanguageModelSettings) else QAConfig(model=kind())  # type: ignore[arg-type]


def column_of(config: QAConfig) -> str | None:
    """The column of Table 1 that a run is of, whatever its schedule and number of restarts are; None if of none."""
    columns = {name: recipe(name) for name in RECIPES if name in TABLE1}
    return next((name for name, column in columns.items() if _is_of(column, config)), None)


def _is_of(column: QAConfig, config: QAConfig) -> bool:
    """Whether a run has the model of the column, or one with a smaller memory, and is trained in its way."""
    own, fixed = config.train, column.train
    slots = column.model.memory_size
    return (
        config.model.memory_size <= slots
        and config.model.replace({"memory_size": slots}) == column.model
        and (own.linear_start != "no", own.noise, own.joint) == (fixed.linear_start != "no", fixed.noise, fixed.joint)
    )
