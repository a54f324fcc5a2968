"""`memlm train`."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import click


class SignalRequests:
    """SIGINT and SIGTERM ask for a stop, a second one interrupts at once; SIGUSR1 asks for a checkpoint.

    At the end of its `with` block signals do again what they did before.
    """

    def __init__(self) -> None:
        self.exit_status = 0
        self._save = False
        self._earlier: dict[int, Any] = {}
        self._handle(signal.SIGUSR1, self._receive_save)

    def heed_stops(self) -> None:
        """From now on there is something to save before a stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handle(number, self._receive_stop)

    def __enter__(self) -> "SignalRequests":
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._earlier[number] = signal.signal(number, handler)

    def stop(self) -> bool:
        """Whether to save and stop."""
        return bool(self.exit_status)

    def save(self) -> bool:
        """Whether to save and go on; asking takes the request back."""
        asked, self._save = self._save, False
        return asked

    def _receive_save(self, number: int, frame: FrameType | None) -> None:
        self._save = True

    def _receive_stop(self, number: int, frame: FrameType | None) -> None:
        if self.exit_status:
            raise SystemExit(self.exit_status)
        self.exit_status = 128 + number
        click.echo("stopping after this step; once more to stop at once", err=True)
