"""Stop a run of the command line at a place of the test's choice, without a signal."""

import math

import pytest


class StopAfter:
    """Stands in for the signals: asks to stop when it was asked so often."""

    def __init__(self, calls: float) -> None:
        self.left = calls
        self.exit_status = 0

    def heed_stops(self) -> None: ...

    def __enter__(self) -> "StopAfter":
        return self

    def __exit__(self, *exc: object) -> None: ...

    def save(self) -> bool:
        return False

    def stop(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.exit_status = 130
        return self.left < 0


def stopping(monkeypatch: pytest.MonkeyPatch, calls: float) -> None:
    monkeypatch.setattr("memlm.experiments.signals.SignalRequests", lambda: StopAfter(calls))


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping(monkeypatch, math.inf)
