"""The tasks of the question-answering datasets, and the real bAbI."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from memlm.data.fetch import get
from memlm.data.questions.encode import UNSEEN, encode, vocabulary
from memlm.data.questions.tasks import load_questions, task_counts, task_files, task_names
from memlm.data.storage import data_root
from memlm.errors import MemlmError


@pytest.fixture(scope="module")
def babi(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real tasks in a data folder of their own, for all tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMLM_DATA", str(tmp_path_factory.mktemp("data")))
        get.get_dataset("babi", source=str(real_data / "babi"))
        yield


def test_there_are_twenty_tasks_named_as_in_the_table():
    names = task_names("babi")
    assert len(names) == 20
    assert (names[0], names[18]) == ("1 supporting fact", "path finding")


@pytest.mark.usefixtures("babi")
def test_the_real_tasks_have_a_thousand_questions_each_and_173_words():
    everything = []
    unseen = {}
    for task in range(1, 21):
        asked = load_questions("babi", task)
        assert {split: len(questions) for split, questions in asked.items()} == {"train": 1000, "test": 1000}
        words = vocabulary(asked["train"])
        test = encode(asked["test"], words, memory_size=50)
        assert all(question.supporting for question in asked["test"])
        # The last 50 sentences always hold what the answer follows from.
        wanted = [len(set(question.supporting)) for question in asked["test"]]
        np.testing.assert_array_equal(test.supporting.sum(axis=1), wanted)
        unseen[task] = int((test.answers == UNSEEN).sum())
        everything += asked["train"]
    assert len(vocabulary(everything)) == 173
    assert {task: count for task, count in unseen.items() if count} == {8: 1}


@pytest.mark.usefixtures("babi")
def test_the_counts_of_a_real_task():
    assert task_counts("babi", 3) == {
        "task": 3,
        "name": "3 supporting facts",
        "train": 1000,
        "test": 1000,
        "types": 34,
        "answers": 6,
        "longest_story": 228,
        "longest_sentence": 7,
    }


@pytest.mark.usefixtures("babi")
def test_the_larger_edition_is_read_and_an_absent_file_is_named():
    assert len(load_questions("babi", 20, "10k")["train"]) == 10_000
    files = {size: task_files("babi", 20, size)["test"].read_bytes() for size in ("1k", "10k")}
    assert files["1k"] == files["10k"]
    train = data_root() / "babi/en-10k/qa3_three-supporting-facts_train.txt"
    if train.exists():
        assert len(load_questions("babi", 3, "10k")["train"]) == 10_000
    else:
        with pytest.raises(MemlmError, match=f"^task 3 of babi at 10k can't be used: {train} is missing"):
            load_questions("babi", 3, "10k")


def test_what_is_not_there_is_refused_by_name():
    with pytest.raises(MemlmError, match="babi has no task 21: its tasks are 1 to 20"):
        task_files("babi", 21)
    with pytest.raises(MemlmError, match="unknown size '1M': known are 1k, 10k"):
        task_files("babi", 1, "1M")
    with pytest.raises(MemlmError, match="ptb has no questions: datasets with questions are babi, stories-qa"):
        task_files("ptb", 1)
    with pytest.raises(MemlmError, match="unknown dataset 'babbi': did you mean 'babi'"):
        task_names("babbi")
