"""memlm: end-to-end memory networks for language modelling, beside an LSTM baseline.

    model = memlm.load("runs/ptb-memn2n-6x100")
    model.perplexity("the company said it will")
    model.next_word("the company said it").top(5)
    memlm.load_answerer("runs/babi-task-1").ask("Mary went home. John left.", "Where is Mary?")

The public names are resolved when they are first used: importing memlm costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from memlm.attention import Attention, AverageAttention
    from memlm.config import Config, KneserNeyConfig, LSTMConfig, MemN2NConfig, TrainConfig
    from memlm.qa.ask import Answer
    from memlm.qa.trained import TrainedTasks, load_answerer
    from memlm.recipes import recipe
    from memlm.sampling import Sampling
    from memlm.trained import NextWord, TrainedModel, load
    from memlm.wearing import wear

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
    "load_answerer",
    "recipe",
    "wear",
]

_HOME = {
    "Answer": "qa.ask",
    "Attention": "attention",
    "AverageAttention": "attention",
    "Config": "config",
    "KneserNeyConfig": "config",
    "LSTMConfig": "config",
    "MemN2NConfig": "config",
    "TrainConfig": "config",
    "NextWord": "trained",
    "TrainedModel": "trained",
    "TrainedTasks": "qa.trained",
    "load": "trained",
    "load_answerer": "qa.trained",
    "recipe": "recipes",
    "Sampling": "sampling",
    "wear": "wearing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memlm' has no attribute {name!r}")
    return getattr(import_module(f"memlm.{_HOME[name]}"), name)
