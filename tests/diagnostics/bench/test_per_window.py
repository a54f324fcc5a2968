"""The per-window formulation against the oracle. Sliding windows are compared with it in models/test_memn2n.py."""

import numpy as np
import pytest
import torch

from memlm.diagnostics.bench import per_window
from memlm.models.layers.head import SoftmaxHead
from tests.helpers.tiny_models import K, N, V, make_memn2n, oracle_weights
from tests.oracles import memn2n as oracle_memn2n


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_every_token_of_a_text_agrees_with_the_oracle(tying: str, generator: torch.Generator):
    model = make_memn2n(tying, generator)
    tokens = np.arange(20) * 7 % V
    inputs = torch.from_numpy(np.concatenate([[-1] * N, tokens[:-1]]))[None]
    with torch.no_grad():
        hidden = per_window.hidden_states(model, inputs)
    assert isinstance(model.head, SoftmaxHead)
    nats = -(hidden[0] @ model.head.weight.T).log_softmax(-1)[torch.arange(20), torch.from_numpy(tokens)]
    weights = oracle_weights(model)
    expected = oracle_memn2n.nats_per_token(tokens, weights, hops=K, memory_size=N, linear_units=3, tying=tying)
    np.testing.assert_allclose(nats.detach().numpy(), expected, atol=1e-10)
