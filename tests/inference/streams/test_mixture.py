"""Weights of a mixture."""

import numpy as np
import pytest

from memlm.inference.streams.mixture import mixture_weights


def test_fitted_weights_are_the_likeliest(rng: np.random.Generator):
    nats = [rng.exponential(2, size=400) for _ in range(3)]
    nats[1][3] = np.inf  # a word that a predictor holds for impossible
    impossible = [np.append(of_one, np.inf) for of_one in nats]
    weights = mixture_weights(nats)
    assert weights.sum() == pytest.approx(1)

    def cost(w: np.ndarray) -> float:
        return -float(np.log(w @ np.exp(-np.stack(nats))).mean())

    for _ in range(50):
        assert cost(weights) <= cost(rng.dirichlet([1, 1, 1])) + 1e-9
        near = np.abs(weights + rng.normal(scale=0.01, size=3))
        assert cost(weights) <= cost(near / near.sum()) + 1e-7
    np.testing.assert_array_equal(mixture_weights(impossible), weights)
    np.testing.assert_allclose(mixture_weights([nats[0], nats[0] + 5]), [1, 0], atol=1e-3)
