"""The questions that a model is trained and tested on, under one vocabulary and one memory."""

import pytest

from memlm.data.babi import parse
from memlm.qa import tasks


def test_a_test_story_is_no_longer_than_those_of_training(monkeypatch: pytest.MonkeyPatch):
    told = b"1 a b.|2 a c.|3 a d.|4 where a?\td\t3".split(b"|")
    short = b"1 a d.|2 a c.|3 where a?\tc\t2|1 a b.|2 where a?\tb\t1".split(b"|")
    files = {"train": parse(short, "train"), "test": parse(told, "test")}
    monkeypatch.setattr(tasks, "load_questions", lambda dataset, number, size: files)
    loaded = tasks.load("made up", [7], size="1k", memory_size=50)
    assert loaded.train.stories.shape == (2, 2)
    assert loaded.test.stories.shape == (1, 2)
    assert loaded.test.supporting.tolist() == [[False, True]]
    assert loaded.train_task_of.tolist() == [7, 7]
    assert tasks.load("made up", [7], size="1k", memory_size=1).test.stories.shape == (1, 1)
