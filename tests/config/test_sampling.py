"""Settings of generation, at the edges of their ranges."""

import pytest

from memlm.config.sampling import Sampling
from memlm.errors import MemlmError


def test_the_edges_are_allowed():
    assert Sampling(words=1, temperature=0, top_k=0, top_p=1).temperature == 0.0
    assert Sampling().top_p == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"words": 0}, "words is 0; it must be at least 1"),
        ({"temperature": -0.1}, "temperature is -0.1; it must be at least 0"),
        ({"top_k": -1}, "top_k is -1; it must be at least 0"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0"),
        ({"top_p": 1.1}, "top_p is 1.1; it must be at most 1"),
    ],
)
def test_what_is_beyond_them_is_refused(values: dict[str, float], message: str):
    with pytest.raises(MemlmError, match=message):
        Sampling().replace(values)
