"""Entries of the catalogue."""

from memlm.data.catalog.entries import is_archive


def test_archives_are_known_by_their_endings():
    assert all(map(is_archive, ("a.zip", "a.tar.gz", "A.TGZ", "a.tar", "text8.gz")))
    assert not any(map(is_archive, ("ptb.train.txt", "text8", "data/")))
