"""A worker process, which reads one piece of a text: `python -m memlm.data.corpus.worker JOB`."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memlm import files
from memlm.config.data import DataConfig
from memlm.data.corpus import counts, encoded
from memlm.data.corpus.reading import TextFile, count_words, encode_blocks, read_words
from memlm.data.corpus.workers import FAULT
from memlm.data.vocabulary.load import load_vocabulary
from memlm.errors import MemlmError


def work(job: dict[str, Any]) -> None:
    """Write the file that the job asks for, or a file that says what is wrong with the text."""
    text = TextFile(**job["text"] | {"path": Path(job["text"]["path"])})
    path = Path(job["path"])
    new = path.with_suffix(".new")
    blocks = _with_ticks(read_words(text))
    try:
        if job["task"] == "count":
            counts.write_counts(new, count_words(blocks))
        else:
            vocabulary = load_vocabulary(Path(job["vocabulary"]), DataConfig(**job["data"]))
            encoded.write_encoded(new, encode_blocks(blocks, vocabulary, begins_line=text.begins_line))
    except MemlmError as error:
        files.write_whole(path.with_suffix(FAULT), str(error).encode(errors="backslashreplace"))
    else:
        new.replace(path)


def _with_ticks(blocks: Iterator[list[str]]) -> Iterator[list[str]]:
    """The blocks, with one byte on standard output for each. The process ends when nobody reads the pipe."""
    for words in blocks:
        yield words
        os.write(sys.stdout.fileno(), b".")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent process, which ends this one
    work(json.loads(sys.argv[1]))
