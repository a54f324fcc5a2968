"""The questions that a model is trained and tested on, under one vocabulary and one memory."""

from pathlib import Path

import pytest

from memlm.config.training import QATrainConfig
from memlm.data.catalog.datasets import lookup
from memlm.data.fetch import get as fetch
from memlm.data.questions import tasks
from memlm.data.questions.babi import parse
from memlm.errors import MemlmError


def test_a_test_story_is_no_longer_than_those_of_training(monkeypatch: pytest.MonkeyPatch):
    told = b"1 a b.|2 a c.|3 a d.|4 where a?\td\t3".split(b"|")
    short = b"1 a d.|2 a c.|3 where a?\tc\t2|1 a b.|2 where a?\tb\t1".split(b"|")
    files = {"train": parse(short, "train"), "test": parse(told, "test")}
    monkeypatch.setattr(tasks, "load_questions", lambda dataset, number, size: files)
    loaded = tasks.read_tasks("made up", [7], size="1k", memory_size=50)
    assert loaded.train.stories.shape == (2, 2)
    assert loaded.test.stories.shape == (1, 2)
    assert loaded.test.supporting.tolist() == [[False, True]]
    assert loaded.train_task_of.tolist() == [7, 7]
    assert tasks.read_tasks("made up", [7], size="1k", memory_size=1).test.stories.shape == (1, 1)


def test_only_an_absent_optional_file_leaves_a_task_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for file in lookup("babi").files:
        if "en-10k/qa3_" not in file.path:
            (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.path).touch()
    got: list[str] = []

    def get(name: str) -> Path:
        got.append(name)
        if len(got) == 1:
            raise MemlmError("the connection dropped")
        return tmp_path

    monkeypatch.setattr(fetch, "get_dataset", get)
    config = QATrainConfig(size="10k")
    with pytest.raises(MemlmError, match="the connection dropped"):
        tasks.task_numbers("babi", config)
    present, absent = tasks.task_numbers("babi", config)
    assert got == ["babi", "babi"]  # once each time
    assert present == [1, 2, *range(4, 21)]
    assert len(absent) == 1
    assert absent[0].startswith("task 3 of babi at 10k can't be used: ")
