"""Read a large text with several processes, one piece each.

The workers are programs of their own (memlm.data.corpus.worker). A fork would share the locks of this process's
threads, and a process that multiprocessing spawns would run the user's script again. A worker writes one byte to a
shared pipe for each block that it has read. It leaves one file: its result, or what is wrong with the text.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from memlm.data.corpus.reading import BLOCK, TextFile, size_of
from memlm.data.corpus.splitting import cut
from memlm.data.progress_bar import bar
from memlm.errors import MemlmError

WORTH = 8 << 20  # bytes of text: workers are not worth their start for a smaller one
PIECE = 4 << 20  # bytes that each worker reads at least
PATIENCE = 2.0  # seconds before a progress bar is shown
FAULT = ".fault"  # suffix of a file that says what is wrong

Job = Mapping[str, object]


def run(task: str, text: TextFile, folder: Path, **options: object) -> list[Path]:
    """The files that the workers have written to the folder: one for each piece, in the text's order.

    Raises MemlmError for the first fault in the text. Raises OSError if a worker can't be started or ends too early.
    """
    size = size_of(text)
    pieces = cut(text, max(1, min(_cores(), size // PIECE)))
    paths = [folder / f"piece-{number}" for number in range(len(pieces))]
    jobs = [
        {"task": task, "text": _plain(piece), "path": os.fspath(path), **options}
        for piece, path in zip(pieces, paths, strict=True)
    ]
    with _started(jobs) as reader, bar(f"reading {text.path.name}", after=PATIENCE) as tick:
        blocks = 0
        while found := os.read(reader, BLOCK):
            blocks += len(found)
            tick(BLOCK * blocks, size)
    for path in paths:
        fault = path.with_suffix(FAULT)
        if fault.exists():
            raise MemlmError(fault.read_text(encoding="utf-8"))
        if not path.exists():
            raise OSError(f"the process that makes {path} was ended")
    return paths


def _plain(text: TextFile) -> dict[str, object]:
    return asdict(text) | {"path": os.fspath(text.path)}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _started(jobs: Sequence[Job]) -> Iterator[int]:
    """A pipe for the progress of the workers. It closes when all of them have ended; leaving the block kills them."""
    search = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    processes: list[subprocess.Popen[bytes]] = []
    reader, writer = os.pipe()
    try:
        try:
            for job in jobs:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "memlm.data.corpus.worker", json.dumps(job)],
                    stdin=subprocess.DEVNULL,
                    stdout=writer,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(search)},
                )
                processes.append(process)
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)
        for process in processes:
            process.kill()
            process.wait()
