"""Builds the output layer that a model's settings describe."""

from torch import nn

from memlm.config.models import NeuralSettings
from memlm.errors import MemlmError
from memlm.models.layers.adaptive import ReducedAdaptiveHead, TiedAdaptiveHead
from memlm.models.layers.head import SoftmaxHead, TrainableHead, output_weight


def output_layer(
    config: NeuralSettings, vocabulary_size: int, *, bias: bool, tied: nn.Parameter | None = None
) -> TrainableHead:
    """An uninitialised head over all V words, with the weight `tied` (V, D) or a weight of its own.

    Raises MemlmError for an adaptive softmax without cutoffs. It is for the constructor of a model of your own.

    >>> head = memlm.output_layer(memlm.LSTMConfig(units=20), 1000, bias=True)
    >>> sum(weight.numel() for weight in head.parameters())  # V D weights and V biases
    21000
    """
    if config.softmax == "full":
        return SoftmaxHead(output_weight(vocabulary_size, config.units) if tied is None else tied, bias=bias)
    if not config.cutoffs:
        raise MemlmError("an adaptive softmax needs cutoffs, such as 2000,10000; `memlm train` can choose them")
    if tied is not None:
        return TiedAdaptiveHead(tied, config.cut_at)
    return ReducedAdaptiveHead(vocabulary_size, config.units, config.cut_at, bias=bias)
