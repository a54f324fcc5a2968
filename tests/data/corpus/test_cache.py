"""Files derived from a text are made once, under a key of the text and of how they are made."""

from pathlib import Path

import pytest

from memlm.data.corpus.cache import cached
from memlm.data.corpus.reading import TextFile


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextFile:
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    path = tmp_path / "text"
    path.write_text("the cat\n")
    return TextFile(path)


class Copies:
    """Files that hold a text in capitals; `made` counts how often one is made."""

    def __init__(self) -> None:
        self.made = 0

    def of(self, text: TextFile, made_from: str = "capitals 1") -> str | None:
        return cached(text, made_from, ".capitals", read=self._read, make=lambda path: self._make(text, path))

    def _read(self, path: Path) -> str | None:
        return path.read_text() if path.exists() and path.read_text() != "damaged" else None

    def _make(self, text: TextFile, path: Path) -> None:
        self.made += 1
        path.write_text(text.path.read_text().upper())


def test_a_file_is_made_once_for_a_text_and_a_way_of_making_it(text: TextFile, tmp_path: Path):
    copies = Copies()
    assert copies.of(text) == copies.of(text) == "THE CAT\n"
    assert copies.made == 1
    copies.of(text, "capitals 2")
    assert copies.made == 2
    text.path.write_text("a dog\n")
    assert copies.of(text) == "A DOG\n"
    assert copies.made == 3
    names = [path.name for path in (tmp_path / "data" / "encoded").iterdir()]
    assert len(names) == 3
    assert all(name.endswith(".capitals") for name in names)


def test_a_damaged_file_is_made_again(text: TextFile, tmp_path: Path):
    copies = Copies()
    copies.of(text)
    (file,) = (tmp_path / "data" / "encoded").iterdir()
    file.write_text("damaged")
    assert copies.of(text) == "THE CAT\n"
    assert copies.made == 2


def test_where_nothing_can_be_kept_the_result_is_none(text: TextFile, tmp_path: Path):
    (tmp_path / "data").write_text("a file in the place of the folder")
    assert Copies().of(text) is None
