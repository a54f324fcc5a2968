"""Signals that request a stop or a checkpoint."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class SignalRequests:
    """SIGINT and SIGTERM request a stop, and a second one interrupts at once. SIGUSR1 requests a checkpoint.

    The earlier handlers are back at the end of its `with` block. Outside of the main thread, which alone receives
    signals, there are no requests. `in_python`, a second SIGINT is a KeyboardInterrupt; else it ends the process.
    """

    def __init__(self, *, in_python: bool = False) -> None:
        self.exit_status = 0
        self._in_python = in_python
        self._save = False
        self._earlier: dict[int, Any] = {}
        self._handle(signal.SIGUSR1, self._receive_save)

    def heed_stops(self) -> None:
        """Handle stops from now on, when there is something to save."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handle(number, self._receive_stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        if threading.current_thread() is threading.main_thread():
            self._earlier[number] = signal.signal(number, handler)

    def stop(self) -> bool:
        """Whether to save and stop."""
        return bool(self.exit_status)

    def save(self) -> bool:
        """Whether to save and continue. The call clears the request."""
        asked, self._save = self._save, False
        return asked

    def _receive_save(self, number: int, frame: FrameType | None) -> None:
        self._save = True

    def _receive_stop(self, number: int, frame: FrameType | None) -> None:
        if self.exit_status and number == signal.SIGINT and self._in_python:
            raise KeyboardInterrupt
        if self.exit_status:
            raise SystemExit(self.exit_status)
        self.exit_status = 128 + number
        print("stopping after this step; once more to stop at once", file=sys.stderr, flush=True)
