"""Settings of models."""

from typing import Any

import pytest

from memlm.config.models import MemN2NConfig
from memlm.errors import MemlmError


@pytest.mark.parametrize("values", [{"hops": 2**10}, {"units": 10**30}, {"memory_size": 2**20}])
def test_a_size_that_would_take_for_ever_is_a_slip(values: dict[str, Any]):
    with pytest.raises(MemlmError, match="it must be below"):
        MemN2NConfig(**values)


def test_a_change_of_units_moves_the_linear_half():
    assert MemN2NConfig(units=150).replace({"units": 40}).resolved().linear_units == 20
