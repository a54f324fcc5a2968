"""Fixtures: attention weights."""

import numpy as np
import pytest


@pytest.fixture
def weights(rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(5), size=3)
