"""The work of one process: a piece of a text becomes a file, or a file that says what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from memlm.data.corpus import counts, worker
from memlm.data.corpus.reading import TextFile, count_words, read_words
from memlm.data.corpus.workers import FAULT

TEXT = b"the cat\nsat\nthe mat\n"


def job(path: Path, text: dict[str, Any]) -> dict[str, Any]:
    return {"task": "count", "text": text, "path": str(path)}


def test_a_piece_of_a_text_is_counted_with_a_byte_of_output_per_block(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "text").write_bytes(TEXT)
    worker.work(job(tmp_path / "part", {"path": str(tmp_path / "text"), "start": 8, "end": 12}))
    assert counts.read_counts(tmp_path / "part") == {"sat": 1, "<eos>": 1}
    assert capfd.readouterr().out == "."
    worker.work(job(tmp_path / "whole", {"path": str(tmp_path / "text")}))
    assert counts.read_counts(tmp_path / "whole") == count_words(read_words(TextFile(tmp_path / "text")))
    assert {path.name for path in tmp_path.iterdir()} == {"text", "part", "whole"}


def test_what_is_wrong_with_the_text_is_told_in_a_file(tmp_path: Path):
    (tmp_path / "text").write_bytes(TEXT + b"\xff\n")
    worker.work(job(tmp_path / "part", {"path": str(tmp_path / "text")}))
    assert not (tmp_path / "part").exists()
    told = (tmp_path / "part").with_suffix(FAULT).read_text()
    assert told == f"{tmp_path / 'text'} is not UTF-8 text (line 4, byte 1)"
