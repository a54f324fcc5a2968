"""Softmaxes computed together."""

import pytest
import torch

from memlm.models.layers import softmax
from tests.helpers.close import assert_close

V = 30


@pytest.mark.parametrize("rows", [5, 128, 300])  # one block of rows, and several
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("transposed", [False, True])
def test_softmaxes_computed_together_are_those_computed_alone(rows: int, transposed: bool, generator: torch.Generator):
    hidden = torch.randn(3, rows, 8, generator=generator)
    weight = torch.randn(3, V, 8, generator=generator)
    if transposed:  # as an output layer lies in memory
        weight = weight.mT.contiguous().mT
    targets = torch.randint(V, (3, rows), generator=generator)
    together = softmax.gradients(hidden, targets, weight, None, torch.float64)
    assert together.weight.stride() == weight.stride()
    with torch.no_grad():
        assert_close(softmax.nats(hidden, targets, weight, None), together.nats)
    for r in range(3):
        single = softmax.gradients(hidden[r], targets[r], weight[r], None, torch.float64)
        for ours, theirs in zip(together[:3], single[:3], strict=True):
            assert ours is not None
            assert theirs is not None
            assert_close(ours[r], theirs)
