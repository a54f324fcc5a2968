"""Counts of words: their file, and which texts have one."""

from collections import Counter
from pathlib import Path

import pytest

from memlm.data.corpus import counts
from memlm.data.corpus.reading import TextFile

COUNTS = Counter({"the": 3, "é": 2, "<eos>": 2, "12": 1})


def test_counts_survive_their_file(tmp_path: Path):
    counts.write_counts(tmp_path / "counts", COUNTS)
    assert counts.read_counts(tmp_path / "counts") == COUNTS


def test_a_file_that_is_cut_off_or_changed_at_any_byte_is_none(tmp_path: Path):
    path = tmp_path / "counts"
    assert counts.read_counts(path) is None
    counts.write_counts(path, COUNTS)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            assert counts.read_counts(path) is None


def test_a_small_text_is_counted_each_time_and_a_large_one_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    path = tmp_path / "text"
    path.write_text("the é the\n12 é the\n")
    assert counts.word_counts(TextFile(path)) == COUNTS
    assert not (tmp_path / "data").exists()
    monkeypatch.setattr(counts, "WORTH_CACHING", path.stat().st_size)
    assert counts.word_counts(TextFile(path)) == COUNTS
    (kept,) = (tmp_path / "data" / "encoded").iterdir()
    assert counts.read_counts(kept) == COUNTS
