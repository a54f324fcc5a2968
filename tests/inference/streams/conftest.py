"""Fixtures: a text."""

import numpy as np
import pytest

from tests.helpers.streams import V


@pytest.fixture
def tokens(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(V, size=90).astype(np.int32)
