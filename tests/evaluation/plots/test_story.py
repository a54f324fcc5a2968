"""The picture of a story: which rows and weights it has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memlm.errors import MemlmError
from memlm.evaluation.answers import Answer
from memlm.evaluation.plots.story import NOTHING, attention_over_story
from tests.helpers.pictures import texts

ANSWER = Answer(
    question="where is mary",
    answer="hall",
    probability=0.5,
    words=["attic", "hall"],
    distribution=np.array([0.5, 0.5]),
    sentences=["mary took $5 to the hall", "john left"],
    attention=np.array([[0.9, 0.1], [0.004, 0.996]]),
    supporting=np.array([True, False]),
    expected="hall",
    forgotten=0,
)


def test_weights_that_would_be_0_are_not_written(tmp_path: Path):
    written = texts(attention_over_story(ANSWER), tmp_path / "a.svg")
    assert {"0.90", "0.10", "1.00", "hop 1", "hop 2", *ANSWER.sentences} <= set(written)
    assert "0.00" not in written
    assert "where is mary?  hall (0.50)" in written


@pytest.mark.parametrize(("weight", "rows"), [(0.01, 3), (0.001, 2)])
def test_the_null_memory_has_a_row_where_it_has_weight(weight: float, rows: int):
    assert ANSWER.attention is not None
    (ax,) = attention_over_story(replace(ANSWER, attention=ANSWER.attention * (1 - weight))).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [*ANSWER.sentences, NOTHING][:rows]


@pytest.mark.parametrize("supporting", [np.array([True, False]), None])
def test_supporting_sentences_are_bold(supporting: np.ndarray | None):
    (ax,) = attention_over_story(replace(ANSWER, supporting=supporting)).axes
    bold = [label.get_fontweight() == "bold" for label in ax.get_yticklabels()]
    assert bold == [supporting is not None, False]


def test_a_model_without_a_memory_has_no_picture():
    with pytest.raises(MemlmError, match="this model has no memory to attend to"):
        attention_over_story(replace(ANSWER, attention=None))
