"""The program that reads a piece of a text: `python -m memlm.data.corpus.worker JOB`."""

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
from memlm.data.vocabulary import load
from memlm.errors import MemlmError


def work(job: dict[str, Any]) -> None:
    """Make the file that a job asks for, or one that tells what is wrong with the text."""
    text = TextFile(**job["text"] | {"path": Path(job["text"]["path"])})
    place = Path(job["place"])
    new = place.with_suffix(".new")
    blocks = _told(read_words(text))
    try:
        if job["task"] == "count":
            counts.write(new, count_words(blocks))
        else:
            vocabulary = load.load(Path(job["vocabulary"]), DataConfig(**job["data"]))
            encoded.write(new, encode_blocks(blocks, vocabulary, begins_line=text.begins_line))
    except MemlmError as error:
        files.write_whole(place.with_suffix(FAULT), str(error).encode(errors="backslashreplace"))
    else:
        new.replace(place)


def _told(blocks: Iterator[list[str]]) -> Iterator[list[str]]:
    """The blocks, with a byte on standard output for each; where nobody reads it any more, this process ends."""
    for words in blocks:
        yield words
        os.write(sys.stdout.fileno(), b".")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one, which ends it
    work(json.loads(sys.argv[1]))
