"""A large text read by several processes side by side, each of them a piece of it.

They are programs of their own (memlm.data.corpus.worker), not forks: a fork would share the locks of this process's
threads, and a process that multiprocessing spawns would run the user's script again. Each writes a byte to one pipe
for each block that it has read, and leaves a file: what it has made, or what is wrong with the text.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import memlm
from memlm.data.corpus.reading import BLOCK, TextFile, size_of
from memlm.data.corpus.splitting import cut
from memlm.data.progress_bar import bar
from memlm.errors import MemlmError

WORTH = 8 << 20  # bytes of text: a smaller one is not worth their start
PIECE = 4 << 20  # bytes at least that each of them reads
PATIENCE = 2.0  # seconds before a bar is shown
FAULT = ".fault"  # the ending of a file that tells what is wrong

Job = Mapping[str, object]


def run(task: str, text: TextFile, folder: Path, **options: object) -> list[Path]:
    """The files, one for each piece in the text's order, that `memlm.data.corpus.worker` has made in the folder.

    Raises MemlmError for what is wrong with the text, the first fault in it; OSError where no process can be started,
    or one ends before its work is done.
    """
    size = size_of(text)
    pieces = cut(text, max(1, min(_cores(), size // PIECE)))
    places = [folder / f"piece-{number}" for number in range(len(pieces))]
    jobs = [
        {"task": task, "text": _plain(piece), "place": os.fspath(place), **options}
        for piece, place in zip(pieces, places, strict=True)
    ]
    with _started(jobs) as reader, bar(f"reading {text.path.name}", size, after=PATIENCE) as advance:
        while done := os.read(reader, BLOCK):
            advance(BLOCK * len(done))
    for place in places:
        fault = place.with_suffix(FAULT)
        if fault.exists():
            raise MemlmError(fault.read_text(encoding="utf-8"))
        if not place.exists():
            raise OSError(f"the process that makes {place} was ended")
    return places


def _plain(text: TextFile) -> dict[str, object]:
    return asdict(text) | {"path": os.fspath(text.path)}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _started(jobs: Sequence[Job]) -> Iterator[int]:
    """The pipe on which the processes tell of their progress; it ends when all have, and they with the block."""
    found = [str(Path(memlm.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
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
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(found)},
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
