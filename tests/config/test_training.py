"""Settings of training."""

import pytest

from memlm.config.training import TrainConfig
from memlm.errors import MemlmError


def test_seeds_of_all_restarts_are_seeds():
    with pytest.raises(MemlmError, match="that of each of 2 restarts must be below"):
        TrainConfig(seed=2**63 - 1, restarts=2)
