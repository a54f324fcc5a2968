"""The output layer is the one that the settings name."""

import pytest
import torch
from torch import nn

from memlm.config.models import LSTMConfig
from memlm.errors import MemlmError
from memlm.models.layers.adaptive import ReducedAdaptiveHead, TiedAdaptiveHead
from memlm.models.layers.head import SoftmaxHead
from memlm.models.layers.output import output_layer

V, D = 12, 4
FULL, ADAPTIVE = LSTMConfig(units=D), LSTMConfig(units=D, softmax="adaptive", cutoffs="4,8")


@pytest.mark.parametrize("bias", [False, True])
def test_a_full_softmax_has_its_own_weight_or_the_tied_one(bias: bool):
    head = output_layer(FULL, V, bias=bias)
    assert isinstance(head, SoftmaxHead)
    assert head.weight.shape == (V, D)
    assert (head.bias is not None) == bias
    embedding = nn.Parameter(torch.zeros(V, D))
    tied = output_layer(FULL, V, bias=bias, tied=embedding)
    assert isinstance(tied, SoftmaxHead)
    assert tied.weight is embedding


def test_an_adaptive_softmax_has_the_clusters_of_its_cutoffs():
    head = output_layer(ADAPTIVE, V, bias=False)
    assert isinstance(head, ReducedAdaptiveHead)
    assert head.clusters == [(4, 8), (8, 12)]
    embedding = nn.Parameter(torch.zeros(V, D))
    tied = output_layer(ADAPTIVE, V, bias=False, tied=embedding)
    assert isinstance(tied, TiedAdaptiveHead)
    assert any(parameter is embedding for parameter in tied.parameters())


def test_cutoffs_must_be_known_by_then():
    with pytest.raises(MemlmError, match="an adaptive softmax needs cutoffs, such as 2000,10000"):
        output_layer(LSTMConfig(softmax="adaptive"), V, bias=False)
