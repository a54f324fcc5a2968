"""Named settings of question answering: the columns of Table 1 of [P], whose figures are in memlm.table1.

[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from memlm.config_qa import AnswererConfig, LSTMAnswererConfig, QAConfig
from memlm.errors import unknown_name
from memlm.table1 import TABLE1


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


def describe(name: str) -> str:
    """One line: what it is, and the paper's mean error and failed tasks."""
    build: Any = QA_RECIPES[name]
    said = str(getattr(build, "func", build).__doc__).splitlines()[0]
    column = TABLE1[name]
    hops = f"{build.args[0]} hops: " if isinstance(build, partial) else ""
    figures = f"{column.mean_error['1k']}% error, {column.failed_tasks['1k']} tasks failed"
    return f"[P] Table 1, {hops}{said} `memlm train --dataset babi --recipe {name}`; {figures}"
