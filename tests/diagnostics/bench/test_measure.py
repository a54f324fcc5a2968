"""Timing: cases take turns."""

from memlm.diagnostics.bench import measure


def test_cases_take_turns():
    order: list[str] = []
    measure.medians({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    firsts = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert "".join(firsts) == "ab" * 4
