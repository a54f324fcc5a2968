"""memlm: end-to-end memory networks for language modelling and question answering, beside LSTM and n-gram baselines.

    model = memlm.train("memn2n", dataset="ptb", hops=6, run_dir="runs/mine")
    model = memlm.load("runs/mine")
    model.perplexity("the company said it will")
    memlm.evaluate(model, "test")["perplexity"]
    memlm.train("pe-ls-rn", dataset="babi", task="1").ask("Mary went home. John left.", "Where is Mary?")

The public names are resolved when they are first used: importing memlm costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.config.models import (
        AnswererConfig,
        KneserNeyConfig,
        LSTMAnswererConfig,
        LSTMConfig,
        MemN2NConfig,
        NeuralSettings,
    )
    from memlm.config.recipes import recipe, recipes
    from memlm.config.run import Config, QAConfig
    from memlm.config.sampling import Sampling
    from memlm.config.settings import setting
    from memlm.config.training import QATrainConfig, TrainConfig
    from memlm.data.texts import texts
    from memlm.evaluation.answers import Answer
    from memlm.evaluation.attention import Attention, AverageAttention
    from memlm.evaluation.passport import Passport
    from memlm.experiments.compare import compare
    from memlm.experiments.run import resume, train
    from memlm.inference.evaluation import evaluate
    from memlm.inference.load import load
    from memlm.inference.questions import TrainedTasks
    from memlm.inference.text import NextWord, TrainedModel
    from memlm.models.base import LanguageModel
    from memlm.models.build import register
    from memlm.models.layers.output import output_layer
    from memlm.training.interfaces import STOP, Observer

    __version__: str

_HOME = {
    "Answer": "evaluation.answers",
    "AnswererConfig": "config.models",
    "Attention": "evaluation.attention",
    "AverageAttention": "evaluation.attention",
    "Config": "config.run",
    "KneserNeyConfig": "config.models",
    "LSTMAnswererConfig": "config.models",
    "LSTMConfig": "config.models",
    "LanguageModel": "models.base",
    "MemN2NConfig": "config.models",
    "MemlmError": "errors",
    "NeuralSettings": "config.models",
    "NextWord": "inference.text",
    "Observer": "training.interfaces",
    "Passport": "evaluation.passport",
    "QAConfig": "config.run",
    "QATrainConfig": "config.training",
    "STOP": "training.interfaces",
    "Sampling": "config.sampling",
    "TrainConfig": "config.training",
    "TrainedModel": "inference.text",
    "TrainedTasks": "inference.questions",
    "compare": "experiments.compare",
    "evaluate": "inference.evaluation",
    "load": "inference.load",
    "output_layer": "models.layers.output",
    "recipe": "config.recipes",
    "recipes": "config.recipes",
    "register": "models.build",
    "resume": "experiments.run",
    "setting": "config.settings",
    "texts": "data.texts",
    "train": "experiments.run",
}
__all__ = [
    "STOP",
    "Answer",
    "AnswererConfig",
    "Attention",
    "AverageAttention",
    "Config",
    "KneserNeyConfig",
    "LSTMAnswererConfig",
    "LSTMConfig",
    "LanguageModel",
    "MemN2NConfig",
    "MemlmError",
    "NeuralSettings",
    "NextWord",
    "Observer",
    "Passport",
    "QAConfig",
    "QATrainConfig",
    "Sampling",
    "TrainConfig",
    "TrainedModel",
    "TrainedTasks",
    "compare",
    "evaluate",
    "load",
    "output_layer",
    "recipe",
    "recipes",
    "register",
    "resume",
    "setting",
    "texts",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("memlm")
    if name not in _HOME:
        raise AttributeError(f"module 'memlm' has no attribute {name!r}")
    return getattr(import_module(f"memlm.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
