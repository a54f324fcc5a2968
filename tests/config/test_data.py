"""Settings of a text."""

from memlm.config.data import shares_of


def test_shares_add_up_to_one():
    assert [float(share) for share in shares_of("90,5,5")] == [0.9, 0.05, 0.05]
    assert sum(shares_of("3,1,0.5")) == 1
