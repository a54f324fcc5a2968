"""Pictures: where they may go, what is written on them, and that they are what their name says."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure

from memlm.errors import MemlmError
from memlm.evaluation.plots import attention, pictures
from tests.helpers.pictures import texts


def test_a_picture_is_of_the_type_that_its_name_says(weights: np.ndarray, tmp_path: Path):
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        pictures.save(attention.average_attention(weights, "title"), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    again = tmp_path / "b.svg"
    pictures.save(attention.average_attention(weights, "title"), again)
    assert again.read_bytes() == (tmp_path / "a.svg").read_bytes()  # no date, no random names


def test_a_picture_that_fails_leaves_the_one_before(
    weights: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def fail(figure, place, **_):
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(MemlmError, match=r"can't draw .*a.png: No space left on device"):
        pictures.save(attention.average_attention(weights, "title"), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"before"


def test_letters_that_the_font_lacks_are_no_trouble(weights: np.ndarray, tmp_path: Path):
    words = ["日本", "é", "a_1", "\\x", "<b>"]
    figure = attention.attention_over_words(words, weights, [True] * 5, "日本")
    pictures.save(figure, tmp_path / "a.png")
    assert [text for text in texts(figure, tmp_path / "a.svg") if text in words[1:]] == words[1:]


def test_pixels_are_those_of_the_colours(weights: np.ndarray):
    shown = pictures.pixels(attention.average_attention(weights, "title"))
    assert shown.dtype == np.uint8
    assert shown.shape[2] == 3
    assert shown.shape[1] == 800
    darkest = colormaps[attention.PALETTE](1.0, bytes=True)[:3]  # each hop has a place at its maximum
    assert (shown == darkest).all(axis=2).any()
    assert (shown[0, 0] == 255).all()


def test_a_place_where_no_picture_can_be_is_refused(tmp_path: Path):
    there = tmp_path / "there.png"
    pictures.check_file(there)
    there.write_bytes(b"mine")
    for path, message in (
        (there, r"there.png: it exists already; choose another name, or give --overwrite"),
        (tmp_path / "a.jpg", r"a.jpg: the name must end in .png, .svg, .pdf"),
        (tmp_path / "none" / "a.png", r"there is no folder"),
    ):
        with pytest.raises(MemlmError, match=message):
            pictures.check_file(path)
    pictures.check_file(there, overwrite=True)
    assert there.read_bytes() == b"mine"
