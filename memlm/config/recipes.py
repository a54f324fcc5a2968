"""Named settings: a function each, whose docstring gives source, command and expected result.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; figures without another source are the paper's.
[C] is its code, https://github.com/facebookarchive/MemNN.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from memlm.config.models import AnswererConfig, KneserNeyConfig, LSTMAnswererConfig, LSTMConfig, MemN2NConfig
from memlm.config.paper import TABLE1, TABLE2_PTB
from memlm.config.run import Config, QAConfig
from memlm.config.training import TrainConfig
from memlm.errors import unknown_name


def table2(*, hops: int, memory_size: int) -> Config:
    """A row of [P] Table 2: MemN2N on PTB, 150 units."""
    return Config(dataset="ptb", model=MemN2NConfig(hops=hops, memory_size=memory_size))


def memn2n() -> Config:
    """[P] Table 2, 6 hops, memory 100: `memlm train --dataset ptb --hops 6`; 122/115"""
    return table2(hops=6, memory_size=100)


def lstm_100() -> Config:
    """[P] Table 2, LSTM (Mikolov et al. 2014): `memlm train --dataset ptb --model lstm`; 120/115

    The paper gives no more than the units. Rows, rate and clip are those of Zaremba et al. 2014 (see `_zaremba`);
    dropout and schedule were chosen on PTB's validation split (RESULTS.md).
    """
    rows, unroll = 20, 35
    train = TrainConfig(
        sampling="streams",
        batch_size=rows * unroll,
        chunk_length=unroll,
        lr=1 / rows,
        clip=5 * rows,
        anneal_factor=1.5,
        anneal_after=5,
        epochs=16,
    )
    return Config(dataset="ptb", model=LSTMConfig(layers=1, units=100, dropout=0.2), train=train)


def _zaremba(model: LSTMConfig, *, unroll: int, after: int, factor: float, epochs: int, clip: float) -> Config:
    """Zaremba et al. take the mean over 20 rows of losses summed over time: 20 times less rate, 20 times more clip."""
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
    model = LSTMConfig(layers=2, units=200, init_range=0.1)
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
    """`make demo`: a small memory network on the embedded stories; `memlm data info stories` tells their floor"""
    model = MemN2NConfig(hops=4, memory_size=60, units=100)
    return Config(dataset="stories", model=model, train=TrainConfig(lr=0.03, epochs=16))


def demo_lstm() -> Config:
    """`make demo`: the LSTM beside it"""
    config = lstm_100()
    return dataclasses.replace(config, dataset="stories", train=config.train.replace({"epochs": 10}))


RECIPES: dict[str, Callable[[], Config]] = {
    "memn2n": memn2n,
    "lstm-100": lstm_100,
    **{f"table2-{k}x{n}": partial(table2, hops=k, memory_size=n) for k, n in TABLE2_PTB},
    "zaremba-small": zaremba_small,
    "zaremba-medium": zaremba_medium,
    "zaremba-large": zaremba_large,
    "kneser-ney": kneser_ney,
    "demo-memn2n": demo_memn2n,
    "demo-lstm": demo_lstm,
}
DEFAULT_RECIPE = {"memn2n": "memn2n", "lstm": "lstm-100", "kneser-ney": "kneser-ney"}


def recipe(name: str) -> Config:
    """The settings of a recipe; an unknown name is refused with those that are known."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]()


def describe(name: str) -> str:
    """One line: source, command, figure to expect."""
    build: Any = RECIPES[name]
    if isinstance(build, partial):
        hops, memory_size = build.keywords["hops"], build.keywords["memory_size"]
        row = f"[P] Table 2, {hops} hops, memory {memory_size}: `--recipe {name}`"
        return f"{row}; {TABLE2_PTB[hops, memory_size]}"
    return str(build.__doc__).splitlines()[0]


def bow() -> QAConfig:
    """Bag of words, temporal encoding, 3 hops; each task on its own."""
    return QAConfig(model=AnswererConfig(sentences="bow"))


def pe() -> QAConfig:
    """Position encoding (PE)."""
    return QAConfig()


def pe_ls() -> QAConfig:
    """PE and linear start (LS).

    The rate after a linear start is its own, and that lasts 20 epochs [C]; [P] does not say when a cost has stopped
    falling.
    """
    return _train(pe(), linear_start="fixed", linear_epochs=20, lr=0.005)


def pe_ls_rn() -> QAConfig:
    """PE, LS and random noise (RN)."""
    return _train(pe_ls(), noise=0.1)


def joint(config: QAConfig) -> QAConfig:
    """One model for all tasks, of 50 units; 60 epochs, the rate halved every 15, a linear start of 30 [C]."""
    config = dataclasses.replace(config, model=config.model.replace({"units": 50}))
    return _train(config, joint=True, epochs=60, halve_every=15, linear_epochs=30)


def hops_pe_ls_joint(hops: int) -> QAConfig:
    """PE and LS, all tasks together."""
    config = joint(pe_ls())
    return dataclasses.replace(config, model=config.model.replace({"hops": hops}))


def pe_ls_rn_joint() -> QAConfig:
    """PE, LS and RN, all tasks together."""
    return joint(pe_ls_rn())


def pe_ls_lw_joint() -> QAConfig:
    """PE, LS and layer-wise tying (LW), all tasks together."""
    config = joint(pe_ls())
    return dataclasses.replace(config, model=config.model.replace({"tying": "layerwise"}))


def lstm() -> QAConfig:
    """The weakly supervised baseline that reads story and question word by word; each task on its own."""
    return QAConfig(model=LSTMAnswererConfig())


def _train(config: QAConfig, **values: object) -> QAConfig:
    return dataclasses.replace(config, train=config.train.replace(values))


QA_RECIPES: dict[str, Callable[[], QAConfig]] = {
    "bow": bow,
    "pe": pe,
    "pe-ls": pe_ls,
    "pe-ls-rn": pe_ls_rn,
    **{f"{hops}hop-pe-ls-joint": partial(hops_pe_ls_joint, hops) for hops in (1, 2, 3)},
    "pe-ls-rn-joint": pe_ls_rn_joint,
    "pe-ls-lw-joint": pe_ls_lw_joint,
    "lstm": lstm,
}
DEFAULT_QA_RECIPE = {"memn2n-qa": "pe-ls-rn", "lstm-qa": "lstm"}
DEFAULT_JOINT = "pe-ls-rn-joint"  # of memn2n-qa


def qa_recipe(name: str, *, size: str = "1k") -> QAConfig:
    """The settings of a recipe for a size of the tasks; with 10k, a joint model has 20 epochs, halved every 5 [P]."""
    if name not in QA_RECIPES:
        raise unknown_name("recipe", name, QA_RECIPES)
    config = _train(QA_RECIPES[name](), size=size)
    if config.train.joint and size == "10k":
        return _train(config, epochs=20, halve_every=5, linear_epochs=10)
    return config


def describe_qa(name: str) -> str:
    """One line: what it is, and the paper's mean error and failed tasks."""
    build: Any = QA_RECIPES[name]
    said = str(getattr(build, "func", build).__doc__).splitlines()[0]
    column = TABLE1[name]
    hops = f"{build.args[0]} hops: " if isinstance(build, partial) else ""
    figures = f"{column.mean_error['1k']}% error, {column.failed_tasks['1k']} tasks failed"
    return f"[P] Table 1, {hops}{said} `memlm train --dataset babi --recipe {name}`; {figures}"


def column_of(config: QAConfig) -> str | None:
    """The column of Table 1 whose choices a run makes, whatever its schedule and its restarts are."""
    return next((name for name, recipe in QA_RECIPES.items() if _has_the_choices_of(recipe(), config)), None)


def _has_the_choices_of(column: QAConfig, config: QAConfig) -> bool:
    """Whether a run has the column's model, whose memory may be smaller as its stories are, trained in its way."""
    own, fixed = config.train, column.train
    slots = column.model.memory_size
    return (
        config.model.memory_size <= slots
        and config.model.replace({"memory_size": slots}) == column.model
        and (own.linear_start != "no", own.noise, own.joint) == (fixed.linear_start != "no", fixed.noise, fixed.joint)
    )
