"""Fair timing in one process: cases take turns, so that all of them meet the same drift of the machine's speed."""

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import count

import torch

from memlm.evaluation.perplexity import Tick

Case = Callable[[], object]
BURST = 0.1  # seconds of a turn: long compared with the timer's resolution, short compared with drift
WARM_UP = 2  # first turns of each case that are not counted


def medians(cases: Mapping[str, Case], *, rounds: int, tick: Tick = lambda done, total: None) -> dict[str, float]:
    """Median seconds per call of each case, over `rounds` in which all cases take turns.

    A turn is as many calls as fit in BURST, after one call that is not timed: it restores the caches and the memory
    that the case before used. The first WARM_UP turns of each case are not counted. `tick(done, total)` is called
    after each turn, with the numbers of turns.
    """
    calls = dict.fromkeys(cases, 1)
    times: dict[str, list[float]] = {name: [] for name in cases}
    done, total = count(1), turns(len(cases), rounds)
    for turn in range(rounds + WARM_UP):
        for name, case in cases.items():
            seconds = _time(case, calls[name])
            calls[name] = max(1, min(1000, round(BURST / max(seconds, 1e-7))))
            if turn >= WARM_UP:
                times[name].append(seconds)
            tick(next(done), total)
    return {name: statistics.median(values) for name, values in times.items()}


def turns(cases: int, rounds: int) -> int:
    """The number of turns that `medians` takes."""
    return cases * (rounds + WARM_UP)


def over_calls(tick: Tick, total: int) -> Tick:
    """A tick for several calls of `medians` that take `total` turns together."""
    done = count(1)
    return lambda *_: tick(next(done), total)


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
