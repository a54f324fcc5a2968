"""Fair timing in one process: cases take turns, so that a machine whose speed drifts is the same for all of them."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Case = Callable[[], object]
BURST = 0.1  # seconds a case runs at a time: long against the timer, short against a drift


def medians(cases: Mapping[str, Case], *, rounds: int, tick: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Median seconds of a call of each case, over `rounds` in which all cases take turns; `tick` after each turn.

    A turn is as many calls as take BURST, after one that does not count: it brings back the caches and the memory that
    the case before took. Nor do the first two turns of each case count.
    """
    calls = dict.fromkeys(cases, 1)
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 2):
        for name, case in cases.items():
            seconds = _time(case, calls[name])
            calls[name] = max(1, min(1000, round(BURST / max(seconds, 1e-7))))
            if turn >= 2:
                times[name].append(seconds)
            tick()
    return {name: statistics.median(values) for name, values in times.items()}


def _time(case: Case, calls: int) -> float:
    case()
    _wait()
    began = time.perf_counter()
    for _ in range(calls):
        case()
    _wait()
    return (time.perf_counter() - began) / calls


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
