"""Restarts of a memory network as one computation: each is the model that it would be alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memlm.config.models import MemN2NConfig
from memlm.models.build import build_initialised, build_stacked
from memlm.models.memn2n import MemN2N
from memlm.models.stacked import StackedMemN2N
from memlm.training.optim import ClippedSGD
from tests.helpers.close import assert_close

pytestmark = pytest.mark.usefixtures("float64")
V, B, N = 30, 3, 6
SEEDS = (5, 6, 7)


def alone(config: MemN2NConfig, seed: int) -> MemN2N:
    model = build_initialised(config, vocabulary_size=V, eos=0, seed=seed)
    assert isinstance(model, MemN2N)
    return model


def config_of(tying: str, *, times: bool = True) -> MemN2NConfig:
    return MemN2NConfig(hops=3, memory_size=N, units=8, tying=tying, temporal_encoding=times)


def assert_equal(stacked: StackedMemN2N, models: list[MemN2N], *, exactly: bool = False) -> None:
    names = [name for name, _ in stacked.named_parameters()]
    for r, model in enumerate(models):
        assert names == [name for name, _ in model.named_parameters()]
        for ours, theirs in zip(stacked.parameters(), model.parameters(), strict=True):
            if exactly:
                assert torch.equal(ours[r], theirs)
            assert_close(ours[r], theirs)


def loss(model: MemN2N, inputs: Tensor, targets: Tensor) -> None:
    """Gradients of the summed loss."""
    rows = model(inputs)[0].flatten(-3, -2)
    _, grad = model.head.backward(rows.detach(), targets.flatten(-2))
    rows.backward(grad)


@settings(max_examples=20, deadline=None)
@given(
    tying=st.sampled_from(["layerwise", "adjacent"]), times=st.booleans(), L=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_steps_of_restarts_are_those_of_the_models_alone(tying: str, times: bool, L: int, seed: int):
    config, generator = config_of(tying, times=times), torch.Generator().manual_seed(seed)
    stacked = build_stacked(config, vocabulary_size=V, seed=SEEDS[0], restarts=len(SEEDS))
    models = [alone(config, seed) for seed in SEEDS]
    assert_equal(stacked, models, exactly=True)
    rates, clip = [0.1, 0.2, 0.3], 0.5
    together = ClippedSGD(stacked.parameters(), clip=clip, over="restart", restarts=len(SEEDS))
    together.set_rates(rates)
    each = [ClippedSGD(model.parameters(), clip=clip) for model in models]
    for optimizer, rate in zip(each, rates, strict=True):
        optimizer.set_rates([rate])
    for lowest in (-1, 0):  # with and without words before the start of the text
        inputs = torch.randint(lowest, V, (len(SEEDS), B, L + N - 1), generator=generator)
        targets = torch.randint(V, (len(SEEDS), B, L), generator=generator)
        loss(stacked, inputs, targets)
        norms = together.norms()
        together.step(norms)
        for r, model in enumerate(models):
            loss(model, inputs[r], targets[r])
            norm = each[r].norms()
            assert_close(norms[r], norm)
            each[r].step(norm)
    assert_equal(stacked, models)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_a_text_is_scored_by_each_restart(tying: str, generator: torch.Generator):
    config = config_of(tying)
    stacked = build_stacked(config, vocabulary_size=V, seed=SEEDS[0], restarts=len(SEEDS))
    inputs = torch.randint(-1, V, (B, 4 + N - 1), generator=generator)
    targets = torch.randint(V, (B, 4), generator=generator)
    with torch.no_grad():
        found, _ = stacked.nats(inputs, targets)
        wanted = torch.stack([alone(config, seed).nats(inputs, targets)[0] for seed in SEEDS])
    assert_close(found, wanted)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_a_restart_at_rate_0_stays_as_it_is_whatever_its_gradient(tying: str, generator: torch.Generator):
    stacked = build_stacked(config_of(tying), vocabulary_size=V, seed=SEEDS[0], restarts=len(SEEDS))
    before = [p.detach().clone() for p in stacked.parameters()]
    inputs = torch.randint(V, (len(SEEDS), B, N), generator=generator)
    loss(stacked, inputs, torch.randint(V, (len(SEEDS), B, 1), generator=generator))
    for parameter in stacked.parameters():
        assert parameter.grad is not None
        parameter.grad = parameter.grad.to_dense()
        parameter.grad[1] = torch.nan
    optimizer = ClippedSGD(stacked.parameters(), clip=0.5, over="restart", restarts=len(SEEDS))
    optimizer.set_rates([0.1] * len(SEEDS))
    norms = optimizer.norms()
    assert norms.isfinite().tolist() == [True, False, True]
    optimizer.step(norms, where=norms.isfinite())
    for now, earlier in zip(stacked.parameters(), before, strict=True):
        assert [torch.equal(now[r], earlier[r]) for r in range(3)] == [False, True, False]


def test_a_restart_can_be_taken_out():
    config = config_of("layerwise")
    stacked = build_stacked(config, vocabulary_size=V, seed=SEEDS[0], restarts=len(SEEDS))
    model = alone(config, seed=1)
    stacked.extract(2, model)
    assert_equal(build_stacked(config, vocabulary_size=V, seed=7, restarts=1), [model], exactly=True)
    assert stacked.parameter_count == model.parameter_count
