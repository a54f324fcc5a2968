"""On CUDA every model does what it does on the CPU, in steps that never stop to ask the device."""

import copy
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from memlm.config.models import LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.diagnostics.bench.cases import zipf_tokens
from memlm.evaluation.perplexity import token_nats
from memlm.kernels.cuda_graph import WARM_UP
from memlm.models.base import LanguageModel
from memlm.models.build import build_initialised, build_stacked
from memlm.training.text import SingleLearner, StackedLearner

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

V, T = 50, 515
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
MODELS: dict[str, LanguageModelSettings] = {
    "layerwise": MemN2NConfig(hops=3, memory_size=9, units=12),
    "adjacent": MemN2NConfig(hops=3, memory_size=9, units=12, tying="adjacent"),
    "no-time": MemN2NConfig(hops=2, memory_size=9, units=12, temporal_encoding=False),
    "lstm": LSTMConfig(layers=2, units=12, init_range=0.4),
    "adaptive": LSTMConfig(units=12, init_range=0.4, softmax="adaptive", cutoffs="6,20"),
    "adjacent-adaptive": MemN2NConfig(
        hops=2, memory_size=9, units=12, tying="adjacent", softmax="adaptive", cutoffs="6,20"
    ),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return build_initialised(MODELS[request.param], vocabulary_size=V, eos=0, seed=3).double()


def settings(model: LanguageModel, **values: float) -> TrainConfig:
    sampling = "streams" if model.carries_state else "chunks"
    return TrainConfig(
        sampling=sampling, batch_size=32, chunk_length=4, lr=0.05, clip=8.0, precision="float32"
    ).replace(values)


def epoch(training: SingleLearner, number: int) -> Iterator[None]:
    tokens = zipf_tokens(V, T)
    training.start_epoch()
    training.model.train()
    for span in plan_epoch(training.config, T, number):
        training.step(gather(tokens, span, training.model.context_size))
        yield
    training.settle()


def train(training: SingleLearner, epochs: int) -> None:
    for number in range(epochs):
        training.optimizer.set_rates([training.config.lr / (1 + number)])
        for _ in epoch(training, number):
            pass


def test_nats_are_those_of_the_cpu(model: LanguageModel) -> None:
    tokens = zipf_tokens(V, T)
    expected = token_nats(model, tokens)
    for at_once in (None, 7, 64):
        found = token_nats(model.to(CUDA), tokens, targets_at_once=at_once)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_captured_steps_train_as_the_cpu_does(model: LanguageModel) -> None:
    here = SingleLearner(copy.deepcopy(model), settings(model), CPU)
    there = SingleLearner(model, settings(model), CUDA)
    for training in (here, there):
        train(training, 3)
    assert T // 32 > 2 * WARM_UP  # most of the steps were replayed
    assert there.progress[0].totals.clipped == here.progress[0].totals.clipped > 0
    assert there.progress[0].totals.nats == pytest.approx(here.progress[0].totals.nats, rel=1e-10)
    for name, parameter in here.model.named_parameters():
        found = there.model.get_parameter(name).cpu()
        torch.testing.assert_close(found, parameter, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_step_never_waits_for_the_device(model: LanguageModel) -> None:
    training = SingleLearner(model, settings(model), CUDA)
    if training.head.waits_for_device:
        pytest.skip("an adaptive softmax asks how many targets each cluster has")
    train(training, 1)  # captures
    steps = epoch(training, 1)
    next(steps)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(T // 32 - 4):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")


RESTARTS = TrainConfig(restarts=3, batch_size=32, chunk_length=4, lr=0.05, clip=8.0, precision="float32", max_steps=45)


def side_by_side(config: TrainConfig, tying: str, place: torch.device, *, double: bool = True) -> StackedLearner:
    model = MemN2NConfig(hops=3, memory_size=9, units=12, tying=tying)
    stacked = build_stacked(model, vocabulary_size=V, seed=config.seed, restarts=config.restarts)
    tokens = zipf_tokens(V, T)
    return StackedLearner(stacked.double() if double else stacked, config, place, train=tokens, valid=tokens)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_restarts_train_as_on_the_cpu(tying: str) -> None:
    here, there = (side_by_side(RESTARTS, tying, place) for place in (CPU, CUDA))
    for training in (here, there):
        while not training.finished:
            for batch in training.batches():
                training.step(batch)
            training.settle()
            training.validate()
    for ours, theirs in zip(there.progress, here.progress, strict=True):
        assert ours.best_cost == pytest.approx(theirs.best_cost, rel=1e-10)
    for name, parameter in here.model.named_parameters():
        found = there.model.get_parameter(name).cpu()
        torch.testing.assert_close(found, parameter, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_a_restart_that_diverges_on_cuda_stays_as_it_was(tying: str) -> None:
    training = side_by_side(RESTARTS, tying, CUDA)
    steps = training.batches()
    for _ in range(2 * WARM_UP):
        training.step(next(steps))
    with torch.no_grad():
        training.model.embeddings[0][1, 0] = torch.nan
    before = [p.detach().clone() for p in training.model.parameters()]
    for batch in steps:
        training.step(batch)
    training.settle()
    assert [each.diverged is None for each in training.progress] == [True, False, True]
    for now, earlier in zip(training.model.parameters(), before, strict=True):
        same = [torch.equal(now[r].nan_to_num(), earlier[r].nan_to_num()) for r in range(3)]
        assert same == [False, True, False]


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_step_of_restarts_never_waits_for_the_device() -> None:
    training = side_by_side(RESTARTS, "layerwise", CUDA, double=False)
    batches = list(itertools.islice(training.batches(), 1)) * 3 * WARM_UP
    for batch in batches:
        training.step(batch)  # captures
    try:
        torch.cuda.set_sync_debug_mode("error")
        for batch in batches:
            training.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_trains_nearly_as_float32(model: LanguageModel) -> None:
    exact = SingleLearner(copy.deepcopy(model).float(), settings(model), CUDA)
    low = SingleLearner(model.float(), settings(model).replace({"precision": "bfloat16"}), CUDA)
    for training in (exact, low):
        train(training, 1)
    assert low.head.precision == torch.bfloat16
    assert low.progress[0].totals.nats == pytest.approx(exact.progress[0].totals.nats, rel=2e-3)
    assert low.progress[0].totals.nats != exact.progress[0].totals.nats


def test_each_replay_draws_its_own_dropout() -> None:
    config = LSTMConfig(layers=2, units=12, dropout=0.5, init_range=0.4)
    model = build_initialised(config, vocabulary_size=V, eos=0, seed=3)
    training = SingleLearner(model, settings(model, lr=1e-30), CUDA)
    tokens = zipf_tokens(V, T)
    span = plan_epoch(training.config, T, 0)[0]
    model.train()
    totals = []
    for _ in range(WARM_UP + 6):
        training.carried = tuple(torch.zeros(2, len(span.starts), 12, device=CUDA) for _ in range(2))
        training.step(gather(tokens, span, model.context_size))
        training.settle()
        totals.append(training.progress[0].totals.nats)
    assert len(set(np.diff(totals))) > WARM_UP + 2
