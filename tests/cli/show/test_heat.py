"""Attention as heat maps in the terminal."""

from io import BytesIO, TextIOWrapper

import numpy as np
import pytest
from rich.console import Console

from memlm.cli.show import heat, tables
from memlm.evaluation.attention import Attention
from tests.helpers.command_line import lines


@pytest.fixture
def attended() -> Attention:
    """Two hops over a memory of four words: of the last word of the text, and of the one after it."""
    weights = np.array(
        [[[0.5, 0.3, 0.2, 0.0], [0.003, 0.997, 0.0, 0.0]], [[0.1, 0.1, 0.2, 0.6], [0.0, 0.002, 0.002, 0.996]]]
    ).swapaxes(0, 1)
    words = ["the", "[b]", "unheard", "sat", "on"]
    return Attention(words=words, unknown=[False, False, True, False, False], targets=[4, 5], weights=weights)


def test_words_down_and_hops_across(attended: Attention, capsys: pytest.CaptureFixture[str]):
    heat.show_words(attended, 1, top=4)
    assert lines(capsys.readouterr().out) == [
        " past word         hop 1     hop 2",
        " ───────────────────────────────────",
        " [b]               ░░ 0.10",
        " unheard (<unk>)   ░░ 0.10",
        " sat               ░░ 0.20",
        " on                ██ 0.60   ██ 1.00",
        " -> (next word)",
    ]


def test_words_that_no_hop_looks_at_stand_together(attended: Attention, capsys: pytest.CaptureFixture[str]):
    heat.show_words(attended, 0, top=2)
    assert lines(capsys.readouterr().out)[2:] == [
        " the         ██ 0.50",
        " [b]         ▒▒ 0.30   ██ 1.00",
        " (2 words)      0.20",
        " -> on",
    ]


def test_an_overview_names_the_word_of_each_hop(attended: Attention, capsys: pytest.CaptureFixture[str]):
    heat.show_overview(attended)
    assert lines(capsys.readouterr().out)[2:] == [
        " on            the 0.50   [b] 1.00",
        " (next word)   on 0.60    on 1.00",
    ]


def test_an_average_is_a_strip_a_hop(capsys: pytest.CaptureFixture[str]):
    rows = np.array([[0.0] * 9 + [0.1, 0.2, 0.7], [0.08] * 11 + [0.12]])
    heat.show_average(rows)
    header, _, *strips, meaning = lines(capsys.readouterr().out)
    assert header.split() == ["hop", "12", "back", "1", "largest", "half", "within"]
    assert strips == [
        "   1            ▁▂█     0.700   1 word",
        "   2   ▅▅▅▅▅▅▅▅▅▅▅█     0.120   6 words",
    ]
    assert meaning.startswith("A block is a word; a full block is the largest of its hop")


def test_a_strip_is_as_wide_as_there_is_room():
    weights = np.arange(1.0, 8.0)[None]
    strips, together = heat._strips(weights, 7)
    np.testing.assert_allclose(strips, weights / 7)
    assert together == 1
    strips, together = heat._strips(weights, 3)  # three to a block, from the newest on: 5 to 7, 2 to 4, and 1
    np.testing.assert_allclose(strips, [[1 / 6, 3 / 6, 6 / 6]])
    assert together == 3


def test_colour_is_for_terminals_and_blocks_for_unicode(
    attended: Attention, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    heat.show_words(attended, 1, top=4)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(tables, "console", lambda: Console(force_terminal=True, color_system="standard", width=80))
    heat.show_words(attended, 1, top=4)
    assert "\x1b[35m██" in capsys.readouterr().out
    with TextIOWrapper(BytesIO(), "ascii") as file:
        monkeypatch.setattr(tables, "console", lambda: Console(file=file, width=80))
        heat.show_words(attended, 1, top=4)
        file.seek(0)
        assert "|on              | ## 0.60 | ## 1.00|" in file.read()
