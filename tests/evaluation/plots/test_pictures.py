"""Pictures: where they may go, what is written on them, and that they are what their name says."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure

from memlm.errors import MemlmError
from memlm.evaluation.plots import attention, pictures

WORDS = ["the", "$", "N", "<eos>", "$"]


def texts(figure: Figure, path: Path) -> list[str]:
    """What is written on the picture, read from its SVG."""
    pictures.save(figure, path)
    root = ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def weights(rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(5), size=3)


def test_an_average_is_by_hop_and_words_back(rng: np.random.Generator, tmp_path: Path):
    weights = rng.dirichlet(np.ones(100), size=3)
    written = texts(attention.average_attention(weights, "a run of $5 or $6"), tmp_path / "a.svg")
    assert {"a run of $5 or $6", "hop", "words before the predicted one", "weight / maximum", "1", "100"} <= set(
        written
    )
    assert [f"{row.max():.3f}" for row in weights] == [text for text in written if len(text) == 5 and text[:2] == "0."]


@pytest.mark.parametrize("slots", [1, 2, 15])
def test_a_memory_of_any_size_can_be_drawn(slots: int, rng: np.random.Generator, tmp_path: Path):
    written = texts(attention.average_attention(rng.dirichlet(np.ones(slots), size=1), "small"), tmp_path / "a.svg")
    assert {"1", str(slots)} <= set(written)


def test_one_prediction_names_its_words(weights: np.ndarray, tmp_path: Path):
    weights = np.round(weights, 3)
    alone = [True, False, True, True, True]
    written = texts(attention.attention_over_words(WORDS, weights, alone, "title"), tmp_path / "a.svg")
    assert [text for text in written if text in WORDS] == WORDS
    assert {"title", "hop", "1", "2", "3", "attention weight"} <= set(written)
    figures = [f"{weight:.2f}"[1:] for weight in weights.flatten() if weight >= 0.05]
    assert [text for text in written if text.startswith(".")] == figures


def test_several_predictions_have_a_panel_a_hop(weights: np.ndarray, tmp_path: Path):
    stacked = np.stack([weights, np.full_like(weights, np.nan)], axis=1)
    stacked = np.concatenate([stacked, stacked[:1]])  # four hops: the last row of panels is not full
    written = texts(attention.attention_over_text(WORDS, ["one", "two"], stacked, "title"), tmp_path / "a.svg")
    assert {"title", *WORDS, "one", "two", *(f"hop {k}" for k in (1, 2, 3, 4)), "attention weight"} <= set(written)
    assert written.count("one") == 2  # beside the first panel of each row
    assert written.count("the") == 3  # below the last panel of each column
    long = attention.MAX_WORDS + 1
    with pytest.raises(MemlmError, match=f"can't draw 2 predictions over {long} words: there is room for 40 of each"):
        attention.attention_over_text(["w"] * long, ["one", "two"], np.zeros((1, 2, long)), "title")


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
