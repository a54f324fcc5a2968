"""The output layer that a model's settings ask for."""

from torch import nn

from memlm.config.models import NeuralSettings
from memlm.errors import MemlmError
from memlm.models.layers.adaptive import ReducedAdaptiveHead, TiedAdaptiveHead
from memlm.models.layers.head import SoftmaxHead, TrainableHead, output_weight


def output_layer(
    config: NeuralSettings, vocabulary_size: int, *, bias: bool, tied: nn.Parameter | None = None
) -> TrainableHead:
    """A head over all V words, of a weight (V, D) that it is `tied` to or of its own; uninitialised."""
    if config.softmax == "full":
        return SoftmaxHead(output_weight(vocabulary_size, config.units) if tied is None else tied, bias=bias)
    if not config.cutoffs:
        raise MemlmError("an adaptive softmax needs cutoffs, as 2000,10000: `memlm train` chooses them for a text")
    if tied is not None:
        return TiedAdaptiveHead(tied, config.cut_at)
    return ReducedAdaptiveHead(vocabulary_size, config.units, config.cut_at, bias=bias)
