"""The questions that a model is trained and tested on: one task, or all of a dataset together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memlm.config_qa import QATrainConfig
from memlm.data.babi import Question
from memlm.data.questions import Ids, QuestionSet, encode, vocabulary
from memlm.data.tasks import load_questions, task_files, usable_tasks
from memlm.data.vocab import WordList
from memlm.errors import MemlmError

EXAMPLE = 5  # number of the test question that is looked at: a story of bAbI has five, and the last knows all of it


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Training and test questions of some tasks under one vocabulary; `task_of` (Q,) names the task of each.

    `examples` has a test question of each task, to be looked at.
    """

    words: WordList
    train: QuestionSet
    test: QuestionSet
    train_task_of: Ids
    test_task_of: Ids
    examples: dict[int, Question] = field(default_factory=dict)

    @property
    def sha256(self) -> dict[str, str]:
        """Hash of each split's ids."""
        return {"train": self.train.sha256, "test": self.test.sha256}


def task_numbers(dataset: str, config: QATrainConfig) -> tuple[list[int], list[str]]:
    """The tasks that a run is about, and, where it is about all, why some of them can't be had, a line each."""
    if config.task != "all":
        task_files(dataset, int(config.task), config.size)
        return [int(config.task)], []
    present, absent = usable_tasks(dataset, config.size)
    if not present:
        raise MemlmError(absent[0])
    return present, absent


def load(dataset: str, numbers: Sequence[int], *, size: str, memory_size: int) -> Tasks:
    """The questions of these tasks; the vocabulary is that of their training questions.

    A test story has no more sentences than the longest story of training: a model has seen no older ones.
    """
    found = {number: load_questions(dataset, number, size) for number in numbers}
    joined: dict[str, list[Question]] = {
        split: [question for number in numbers for question in found[number][split]] for split in ("train", "test")
    }
    words = vocabulary(joined["train"])
    train = encode(joined["train"], words, memory_size=memory_size)
    test = encode(joined["test"], words, memory_size=train.stories.shape[1])
    task_of = {split: np.repeat(numbers, [len(found[n][split]) for n in numbers]) for split in ("train", "test")}
    return Tasks(
        words=words,
        train=train,
        test=test,
        train_task_of=task_of["train"],
        test_task_of=task_of["test"],
        examples={number: found[number]["test"][:EXAMPLE][-1] for number in numbers},
    )
