"""What every language model has: initial weights, its tensors, its size, and the nats of targets.

B rows, L targets, C words of context, V words.
"""

import pytest
import torch

from memlm.config.models import KneserNeyConfig, LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.models.base import LanguageModel
from memlm.models.build import build, build_initialised

V = 11
NEURAL = [LSTMConfig(layers=2, units=4), MemN2NConfig(hops=2, memory_size=3, units=4, tying="adjacent")]
MODELS = [*NEURAL, KneserNeyConfig(order=3)]


def made(config: LanguageModelSettings, seed: int = 1) -> LanguageModel:
    return build_initialised(config, vocabulary_size=V, eos=0, seed=seed)


@pytest.mark.parametrize("config", NEURAL, ids=lambda config: config.name)
def test_initial_weights_depend_on_the_seed_alone(config: LanguageModelSettings):
    one, again, other = made(config), build(config, vocabulary_size=V, eos=0), made(config, seed=2)
    assert isinstance(again, LanguageModel)
    torch.rand(3)  # the global generator has no part in it
    again.initialise(1)
    for first, second, third in zip(one.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)
        assert not torch.equal(first, third)


@pytest.mark.parametrize("config", MODELS, ids=lambda config: config.name)
def test_a_model_has_nats_for_each_target(config: LanguageModelSettings):
    model = made(config).eval()
    inputs = torch.arange(2 * (model.context_size + 4)).view(2, -1) % V
    targets = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    with torch.no_grad():
        nats, state = model.nats(inputs, targets)
        log_p = model.head.log_probabilities(model(inputs)[0].flatten(0, 1))
    assert nats.shape == (2, 5)
    torch.testing.assert_close(nats.flatten(), -log_p[torch.arange(10), targets.flatten()])
    assert (state is not None) == model.carries_state
    assert model.device.type == "cpu"


def test_shared_weights_are_counted_and_kept_once():
    model = made(NEURAL[1])
    tensors = model.tensors()
    assert model.parameter_count == sum(tensor.numel() for tensor in tensors.values()) == 3 * (V + 3) * 4
    assert "head.weight" not in tensors  # it is the last embedding


def test_tables_are_kept_but_are_no_weights():
    model = made(MODELS[2])
    assert list(model.parameters()) == []
    assert {name.rpartition(".")[2] for name in model.tensors()} == {"keys", "log_p", "log_backoff"}


@pytest.mark.parametrize("config", MODELS, ids=lambda config: config.name)
def test_only_a_model_with_a_memory_tells_its_attention(config: LanguageModelSettings):
    model = made(config)
    attention = model.attention(torch.zeros(2, model.context_size + 4, dtype=torch.int64))
    assert (attention is not None) == model.attends == (config.name == "memn2n")
    assert attention is None or attention.shape == (2, 2, 5, 3)
