"""Files are scanned in pieces, and checked against the catalogue."""

import hashlib

import pytest

from memlm.data.fetch import check
from memlm.errors import MemlmError


def test_scan_counts_across_pieces_and_names_the_bad_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHUNK", 3)
    path = tmp_path / "text"
    path.write_bytes("élan vital\n\nna\u00efve  élan\tx".encode())
    found = check.scan(path)
    assert (found.lines, found.tokens, found.types) == (3, 8, 5)
    assert found.words == {"élan": 2, "vital": 1, "naïve": 1, "x": 1, "<eos>": 3}
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for text, byte in ((b"ab cd \xc3", 6), (b"abcdefg\xff", 7), ("ééé".encode() + b"\xe9 x", 6)):
        path.write_bytes(text)
        with pytest.raises(MemlmError, match=rf"text is not UTF-8 text \(byte {byte}\)"):
            check.scan(path)
    path.write_bytes(b"")
    with pytest.raises(MemlmError, match="is empty"):
        check.scan(path)


def test_a_word_without_end_is_not_text(tmp_path):
    (tmp_path / "x").write_bytes(b"x" * 3_000_000)
    with pytest.raises(MemlmError, match="is not text"):
        check.scan(tmp_path / "x")
