"""A run's nats are those of its text, whatever the batch and the chunks it is evaluated in.

The total's difference is relative to the total. A token's is relative to its nats or, where it is nearly certain, to
1 nat: there -log p is a small difference of large logits. In float32, whose products are summed in another order for
each shape, a token may differ by ten times as much as the total.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from memlm.config.models import LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.evaluation import perplexity
from memlm.models.build import build_initialised

MODELS: dict[str, LanguageModelSettings] = {
    "layerwise": MemN2NConfig(hops=4, memory_size=37, units=24, init_std=0.5),
    "adjacent": MemN2NConfig(hops=3, memory_size=37, units=24, init_std=0.5, tying="adjacent"),
    "lstm": LSTMConfig(layers=2, units=24, init_range=0.9),
}
V = 300


@pytest.mark.soak
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)], ids=["64", "32"])
@pytest.mark.parametrize("name", MODELS)
def test_batch_and_chunks_change_no_nats(
    name: str,
    dtype: torch.dtype,
    tolerance: float,
    rounds: Callable[[int, int], int],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
):
    model = build_initialised(MODELS[name], vocabulary_size=V, eos=0, seed=1).to(dtype)
    tokens = np.minimum(rng.geometric(0.02, rounds(331, 5_003)), V - 1).astype(np.int32)
    lengths = rng.integers(1, 2 * len(tokens), rounds(2, 20)).tolist()
    batches = [1, 7, 128, 4096, *rng.integers(2, 5000, rounds(0, 10)).tolist()]
    expected = perplexity.token_nats(model, tokens)
    assert expected.std() > 0.4  # the weights are large enough for rounding to matter
    of_token = tolerance if dtype == torch.float64 else 10 * tolerance
    for length in (1, 5, 32, *([] if model.carries_state else lengths)):
        monkeypatch.setattr(perplexity, "CHUNK_LENGTH", length)
        for batch in batches if length == 1 else batches[1:]:
            nats = perplexity.token_nats(model, tokens, targets_at_once=batch)
            np.testing.assert_array_less(np.abs(nats - expected), of_token * np.maximum(expected, 1))
            assert nats.sum() == pytest.approx(expected.sum(), rel=tolerance)
        if model.carries_state:  # it reads one stream: the batch is the length of its steps
            break
