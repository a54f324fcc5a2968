"""Pictures of attention: what is written on them."""

from pathlib import Path

import numpy as np
import pytest

from memlm.errors import MemlmError
from memlm.evaluation.plots import attention
from tests.helpers.pictures import WORDS, texts


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
