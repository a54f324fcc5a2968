"""Where data lies on the disk for all, and making something there: by one process at a time, whole or not at all."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memlm.files import lock


def data_root() -> Path:
    """Where datasets lie: `MEMLM_DATA`, or `data` in the current folder."""
    return Path(os.environ.get("MEMLM_DATA") or "data").expanduser()


@contextmanager
def making(place: Path, what: str) -> Iterator[Path]:
    """An empty folder beside `place`, in which this process alone makes what is to lie there; it is gone afterwards.

    Another process that wants to make the same waits, and says so on standard error, where `what` names the work; so
    look again, inside, whether it is done. What a killed process left of its folder is removed first. Raises OSError.
    """

    def say() -> None:
        print(f"waiting for another process, which is {what}", file=sys.stderr, flush=True)

    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".memlm-{place.name}.partial")
    with lock(place.with_name(f".memlm-{place.name}.lock"), busy=say):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
