"""The tasks of question answering: their files, and the questions that a model is trained and tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from memlm.config.training import QATrainConfig
from memlm.data.catalog.datasets import lookup
from memlm.data.questions.babi import Question, read_questions
from memlm.data.questions.encode import Ids, QuestionSet, encode, vocabulary
from memlm.data.stories import questions as story_questions
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError, unknown_name

# As Table 1 of Sukhbaatar et al. 2015 names them, 1 to 20.
BABI_TASKS = (
    "1 supporting fact",
    "2 supporting facts",
    "3 supporting facts",
    "2 argument relations",
    "3 argument relations",
    "yes/no questions",
    "counting",
    "lists/sets",
    "simple negation",
    "indefinite knowledge",
    "basic coreference",
    "conjunction",
    "compound coreference",
    "time reasoning",
    "basic deduction",
    "basic induction",
    "positional reasoning",
    "size reasoning",
    "path finding",
    "agent's motivation",
)

TASKS = {"babi": BABI_TASKS, "stories-qa": story_questions.TASKS}
SIZES = {"1k": "en", "10k": "en-10k"}  # training questions a task -> the edition that has them


def task_names(dataset: str) -> tuple[str, ...]:
    """Names of a dataset's tasks, the first one that of task 1. Raises MemlmError if it is not one of questions."""
    if dataset not in TASKS:
        lookup(dataset)
        raise MemlmError(f"{dataset} has no questions: those that have are {', '.join(TASKS)}")
    return TASKS[dataset]


def task_files(dataset: str, task: int, size: str = "1k") -> dict[str, Path]:
    """Train and test file of a task, 1 being the first, got first if they are not there.

    Raises MemlmError for a task or size that the dataset does not have, and for an optional file that is absent.
    """
    paths = _paths(dataset, task, size)
    place = _place(dataset)
    if lack := _lack(place, paths):
        raise MemlmError(_unusable(dataset, task, size, lack))
    return {split: place / path for split, path in paths.items()}


def usable_tasks(dataset: str, size: str) -> tuple[list[int], list[str]]:
    """The tasks whose files are there, and why each of the others can't be used, a line each.

    The files are got first if they are not there. Raises MemlmError if that fails, or the dataset has no such size.
    """
    wanted = {task: _paths(dataset, task, size) for task in range(1, len(task_names(dataset)) + 1)}
    place = _place(dataset)
    lacks = {task: _lack(place, paths) for task, paths in wanted.items()}
    absent = [_unusable(dataset, task, size, lack) for task, lack in lacks.items() if lack]
    return [task for task, lack in lacks.items() if not lack], absent


def _place(dataset: str) -> Path:
    """The dataset's folder, got first if it is not there."""
    from memlm.data.fetch import get  # imported where it is used: a model is loaded without the downloader

    return get.get(dataset)


def _lack(place: Path, paths: Mapping[str, str]) -> Path | None:
    """The first of these files that is absent."""
    return next((place / path for path in paths.values() if not (place / path).is_file()), None)


def _unusable(dataset: str, task: int, size: str, lack: Path) -> str:
    return (
        f"task {task} of {dataset} at {size} can't be used: {lack} is absent, an optional file that what {dataset} "
        "was got from does not hold"
    )


def _paths(dataset: str, task: int, size: str) -> dict[str, str]:
    """Train and test file of a task in the dataset's folder."""
    names = task_names(dataset)
    if not 1 <= task <= len(names):
        raise MemlmError(f"{dataset} has no task {task}: its tasks are 1 to {len(names)}")
    if size not in SIZES:
        raise unknown_name("size", size, SIZES)
    found = {
        file.split: file.path
        for file in lookup(dataset).files
        if file.part == SIZES[size] and file.name.startswith(f"qa{task}_") and file.split
    }
    if not found:
        raise MemlmError(f"{dataset} has no size {size}: it has 1k")
    return found


def load_questions(dataset: str, task: int, size: str = "1k") -> dict[str, list[Question]]:
    """The questions of a task, `train` and `test`, in the order of their files."""
    return {split: read_questions(path) for split, path in task_files(dataset, task, size).items()}


def task_counts(dataset: str, task: int, size: str = "1k") -> dict[str, Any]:
    """Questions of a task by split, different words and answers of training, and the longest story and sentence."""
    asked = load_questions(dataset, task, size)
    everything = [question for questions in asked.values() for question in questions]
    return {
        "task": task,
        "name": task_names(dataset)[task - 1],
        **{split: len(questions) for split, questions in asked.items()},
        "types": len(vocabulary(asked["train"])),
        "answers": len({question.answer for question in asked["train"]}),
        "longest_story": max(len(question.story) for question in everything),
        "longest_sentence": max(len(said) for question in everything for said in (question.words, *question.story)),
    }


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


def load_tasks(dataset: str, numbers: Sequence[int], *, size: str, memory_size: int) -> Tasks:
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
