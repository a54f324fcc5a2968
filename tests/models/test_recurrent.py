"""The LSTM baseline against its float64 oracle, and its invariances."""

import numpy as np
import pytest
import torch

from memlm.config.models import LSTMConfig
from memlm.evaluation.perplexity import token_nats
from memlm.models.recurrent import LSTM
from tests.helpers.tiny_models import parameters_as_float64
from tests.oracles import lstm as oracle_lstm

V = 17


def make(layers: int, generator: torch.Generator, *, dropout: float = 0.0) -> LSTM:
    model = LSTM(LSTMConfig(layers=layers, units=6, dropout=dropout, init_range=0.8), V, eos=3).double()
    model.initialise(generator.initial_seed())
    return model


@pytest.mark.parametrize("layers", [1, 2])
def test_every_token_of_a_text_agrees_with_the_oracle(
    layers: int, generator: torch.Generator, rng: np.random.Generator
):
    model = make(layers, generator)
    tokens = rng.integers(V, size=60).astype(np.int32)
    weights = {name.removeprefix("lstm."): value for name, value in parameters_as_float64(model).items()}
    weights["W"], weights["b"] = weights.pop("head.weight"), weights.pop("head.bias")
    expected = oracle_lstm.nats_per_token(tokens, weights, layers=layers, start_token=3)
    np.testing.assert_allclose(token_nats(model, tokens), expected, rtol=1e-9)
    np.testing.assert_allclose(token_nats(model.float(), tokens), expected, atol=1e-5)


@pytest.mark.parametrize("targets_at_once", [1, 7, 59])
def test_the_score_does_not_depend_on_the_batch(
    targets_at_once: int, generator: torch.Generator, rng: np.random.Generator
):
    model = make(2, generator)
    tokens = rng.integers(V, size=60).astype(np.int32)
    np.testing.assert_allclose(token_nats(model, tokens, targets_at_once=targets_at_once), token_nats(model, tokens))


def test_state_is_carried_and_rows_that_end_are_dropped(generator: torch.Generator):
    model = make(2, generator)
    inputs = torch.randint(V, (3, 8), generator=generator)
    whole, _ = model(inputs)
    first, state = model(inputs[:, :5])
    rest, _ = model(inputs[:2, 5:], state)
    torch.testing.assert_close(first, whole[:, :5])
    torch.testing.assert_close(rest, whole[:2, 5:])


def test_dropout_is_for_training_alone(generator: torch.Generator):
    model = make(1, generator, dropout=0.5)
    inputs = torch.randint(V, (2, 8), generator=generator)
    torch.manual_seed(0)
    assert not torch.equal(model(inputs)[0], model(inputs)[0])
    model.eval()
    assert torch.equal(model(inputs)[0], model(inputs)[0])
