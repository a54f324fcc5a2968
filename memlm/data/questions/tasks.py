"""The question-answering tasks: their files, and the questions for training and testing."""

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
SIZES = {"1k": "en", "10k": "en-10k"}  # training questions per task -> edition of the dataset


def task_names(dataset: str) -> tuple[str, ...]:
    """The names of a dataset's tasks, from task 1 on. Raises MemlmError if the dataset has no questions."""
    if dataset not in TASKS:
        lookup(dataset)
        raise MemlmError(f"{dataset} has no questions: datasets with questions are {', '.join(TASKS)}")
    return TASKS[dataset]


def task_files(dataset: str, task: int, size: str = "1k") -> dict[str, Path]:
    """The train and test file of task 1, 2, ... The dataset is downloaded first if need be.

    Raises MemlmError if the dataset has no such task or size, or if an optional file is missing.
    """
    paths = _paths(dataset, task, size)
    folder = _folder(dataset)
    if missing := _missing_file(folder, paths):
        raise MemlmError(_unusable(dataset, task, size, missing))
    return {split: folder / path for split, path in paths.items()}


def usable_tasks(dataset: str, size: str) -> tuple[list[int], list[str]]:
    """The tasks whose files are there, and one line for each other task that says why it can't be used.

    The dataset is downloaded first if need be. Raises MemlmError if that fails or the dataset has no such size.
    """
    wanted = {task: _paths(dataset, task, size) for task in range(1, len(task_names(dataset)) + 1)}
    folder = _folder(dataset)
    missing = {task: _missing_file(folder, paths) for task, paths in wanted.items()}
    absent = [_unusable(dataset, task, size, file) for task, file in missing.items() if file]
    return [task for task, file in missing.items() if not file], absent


def _folder(dataset: str) -> Path:
    """The dataset's folder; it is fetched first if it is not there."""
    from memlm.data.fetch import get  # imported where it is used: a model is loaded without the downloader

    return get.get_dataset(dataset)


def _missing_file(folder: Path, paths: Mapping[str, str]) -> Path | None:
    """The first of these files that is missing."""
    return next((folder / path for path in paths.values() if not (folder / path).is_file()), None)


def _unusable(dataset: str, task: int, size: str, file: Path) -> str:
    return (
        f"task {task} of {dataset} at {size} can't be used: {file} is missing, an optional file that the source of "
        f"{dataset} did not have"
    )


def _paths(dataset: str, task: int, size: str) -> dict[str, str]:
    """The train and test file of a task, relative to the dataset's folder."""
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
    """The questions of a task, `train` and `test`, in the order of the files."""
    return {split: read_questions(path) for split, path in task_files(dataset, task, size).items()}


def task_counts(dataset: str, task: int, size: str = "1k") -> dict[str, Any]:
    """Counts of a task: questions by split, unique words and answers of training, the longest story and sentence."""
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


EXAMPLE = 5  # the test question that serves as example: a bAbI story has five, and the last one follows all of it


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Training and test questions of some tasks under one vocabulary. `task_of` (Q,) has the task of each question.

    `examples` has one test question of each task, for pictures of attention.
    """

    words: WordList
    train: QuestionSet
    test: QuestionSet
    train_task_of: Ids
    test_task_of: Ids
    examples: dict[int, Question] = field(default_factory=dict)

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of each split's ids."""
        return {"train": self.train.sha256, "test": self.test.sha256}


def task_numbers(dataset: str, config: QATrainConfig) -> tuple[list[int], list[str]]:
    """The tasks of a run. If it asks for all, also one line for each task that can't be used."""
    if config.task != "all":
        task_files(dataset, int(config.task), config.size)
        return [int(config.task)], []
    present, absent = usable_tasks(dataset, config.size)
    if not present:
        raise MemlmError(absent[0])
    return present, absent


def read_tasks(
    dataset: str, numbers: Sequence[int], *, size: str, memory_size: int, words: WordList | None = None
) -> Tasks:
    """Load and encode the questions of these tasks. The vocabulary is `words`, or comes from their training questions.

    A test story is cut to the length of the longest training story: a model has seen no older sentences.
    """
    found = {number: load_questions(dataset, number, size) for number in numbers}
    joined: dict[str, list[Question]] = {
        split: [question for number in numbers for question in found[number][split]] for split in ("train", "test")
    }
    words = words or vocabulary(joined["train"])
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
