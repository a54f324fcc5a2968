"""memlm: end-to-end memory networks for language modelling, beside an LSTM baseline.

    model = memlm.load("runs/ptb-memn2n-6x100")
    model.perplexity("the company said it will")
    model.next_word("the company said it").top(5)
    memlm.load("runs/babi-task-1").ask("Mary went home. John left.", "Where is Mary?")

The public names are resolved when they are first used: importing memlm costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.config.models import KneserNeyConfig, LSTMConfig, MemN2NConfig
    from memlm.config.recipes import recipe
    from memlm.config.run import Config
    from memlm.config.sampling import Sampling
    from memlm.config.training import TrainConfig
    from memlm.evaluation.answers import Answer
    from memlm.evaluation.attention import Attention, AverageAttention
    from memlm.inference.load import load
    from memlm.inference.questions import TrainedTasks
    from memlm.inference.text import NextWord, TrainedModel

__all__ = [
    "Answer",
    "Attention",
    "AverageAttention",
    "Config",
    "KneserNeyConfig",
    "LSTMConfig",
    "MemN2NConfig",
    "MemlmError",
    "NextWord",
    "Sampling",
    "TrainConfig",
    "TrainedModel",
    "TrainedTasks",
    "load",
    "recipe",
]

_HOME = {
    "Answer": "evaluation.answers",
    "Attention": "evaluation.attention",
    "AverageAttention": "evaluation.attention",
    "Config": "config.run",
    "KneserNeyConfig": "config.models",
    "LSTMConfig": "config.models",
    "MemN2NConfig": "config.models",
    "TrainConfig": "config.training",
    "NextWord": "inference.text",
    "TrainedModel": "inference.text",
    "TrainedTasks": "inference.questions",
    "load": "inference.load",
    "recipe": "config.recipes",
    "Sampling": "config.sampling",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memlm' has no attribute {name!r}")
    return getattr(import_module(f"memlm.{_HOME[name]}"), name)
