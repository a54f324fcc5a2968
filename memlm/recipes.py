"""Named settings. Each docstring gives the source, the command and the figure to expect (valid/test perplexity).

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; figures without another source are the paper's.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from memlm.config import Config, KneserNeyConfig, LSTMConfig, MemN2NConfig, TrainConfig
from memlm.errors import unknown_name

# [P] Table 2, Penn Treebank: (hops, memory) -> validation/test perplexity.
TABLE2_PTB = {
    (2, 100): "128/121",
    (3, 100): "129/122",
    (4, 100): "127/120",
    (5, 100): "127/118",
    (6, 100): "122/115",
    (7, 100): "120/114",
    (6, 25): "125/118",
    (6, 50): "121/114",
    (6, 75): "122/114",
    (6, 125): "120/112",
    (6, 150): "121/114",
    (7, 200): "118/111",
}


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
