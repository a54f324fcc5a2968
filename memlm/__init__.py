"""memlm: end-to-end memory networks for language modelling and question answering, beside LSTM and n-gram baselines.

    model = memlm.load("runs/ptb-memn2n-6x100")
    model.perplexity("the company said it will")
    model.next_word("the company said it").top(5)
    memlm.evaluate(model, "test")["perplexity"]
    memlm.load("runs/babi-task-1").ask("Mary went home. John left.", "Where is Mary?")

The public names are resolved when they are first used: importing memlm costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.config.models import AnswererConfig, KneserNeyConfig, LSTMAnswererConfig, LSTMConfig, MemN2NConfig
    from memlm.config.recipes import recipe
    from memlm.config.run import Config, QAConfig
    from memlm.config.sampling import Sampling
    from memlm.config.training import QATrainConfig, TrainConfig
    from memlm.evaluation.answers import Answer
    from memlm.evaluation.attention import Attention, AverageAttention
    from memlm.evaluation.passport import Passport
    from memlm.experiments.compare import compare
    from memlm.inference.evaluation import evaluate
    from memlm.inference.load import load
    from memlm.inference.questions import TrainedTasks
    from memlm.inference.text import NextWord, TrainedModel

    __version__: str

__all__ = [
    "Answer",
    "AnswererConfig",
    "Attention",
    "AverageAttention",
    "Config",
    "KneserNeyConfig",
    "LSTMAnswererConfig",
    "LSTMConfig",
    "MemN2NConfig",
    "MemlmError",
    "NextWord",
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
    "recipe",
]

_HOME = {
    "Answer": "evaluation.answers",
    "AnswererConfig": "config.models",
    "Attention": "evaluation.attention",
    "AverageAttention": "evaluation.attention",
    "Config": "config.run",
    "KneserNeyConfig": "config.models",
    "LSTMAnswererConfig": "config.models",
    "LSTMConfig": "config.models",
    "MemN2NConfig": "config.models",
    "NextWord": "inference.text",
    "Passport": "evaluation.passport",
    "QAConfig": "config.run",
    "QATrainConfig": "config.training",
    "Sampling": "config.sampling",
    "TrainConfig": "config.training",
    "TrainedModel": "inference.text",
    "TrainedTasks": "inference.questions",
    "compare": "experiments.compare",
    "evaluate": "inference.evaluation",
    "load": "inference.load",
    "recipe": "config.recipes",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("memlm")
    if name not in _HOME:
        raise AttributeError(f"module 'memlm' has no attribute {name!r}")
    return getattr(import_module(f"memlm.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
