"""The data folder on disk. Files appear in it whole or not at all, and only one process makes each of them."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memlm.files import lock


def data_root() -> Path:
    """The folder of all datasets: `MEMLM_DATA`, or `data` in the current folder."""
    return Path(os.environ.get("MEMLM_DATA") or "data").expanduser()


@contextmanager
def scratch_folder(target: Path, activity: str) -> Iterator[Path]:
    """An empty folder beside `target`, locked for this process. Make `target` in it, then rename.

    A second process waits and prints `activity` on standard error. The target may exist once the wait is over, so
    check again inside. The folder is removed at the end. What a killed process left is removed at the start.
    Raises OSError.
    """

    def say_busy() -> None:
        print(f"waiting for another process, which is {activity}", file=sys.stderr, flush=True)

    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".memlm-{target.name}.partial")
    with lock(target.with_name(f".memlm-{target.name}.lock"), busy=say_busy):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
