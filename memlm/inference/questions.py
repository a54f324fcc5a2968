"""Trained question-answering models: ask them questions, and measure their errors by task."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from memlm.config import paper
from memlm.config.recipes import column_of
from memlm.config.run import QAConfig, is_collection
from memlm.data.questions.babi import question_about
from memlm.data.questions.encode import data_sha256, encode
from memlm.data.questions.tasks import load_questions, task_names
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError
from memlm.evaluation.answers import Answer, answer_all, support_share
from memlm.evaluation.inputs import Feed
from memlm.evaluation.passport import TaskPassport
from memlm.evaluation.records import EVALUATIONS
from memlm.inference.ask import ask
from memlm.models.answerer import Answerer
from memlm.runs import summary
from memlm.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedAnswerer:
    """One trained model: the best restart of a run."""

    run: RunFolder
    config: QAConfig
    words: WordList
    model: Answerer

    def __repr__(self) -> str:
        return f"<memlm answerer {self.config.model.label}, {self.run.path}>"


SPLITS = ("test", "train")
PROTOCOL = "exact"  # every question once; the only protocol for questions


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedTasks:
    """The models of a run by task. `memlm.load` makes it from a run folder.

    In a joint run, all tasks have the same model.

    >>> tasks = memlm.load("runs/questions")
    >>> tasks.ask("Hugo went to the garden.\\nAnna went to the kitchen.", "Where is Hugo?")
    <answer 'garden' to 'where is hugo', probability ...>
    >>> tasks.evaluate()["mean_error"] <= 100
    True
    """

    run: RunFolder
    config: QAConfig
    models: Mapping[int, TrainedAnswerer]

    def ask(self, story: str | Sequence[str], question: str, *, task: int | None = None) -> Answer:
        """Answer a question about a story. The story is a text with one sentence per line, or a list of sentences.

        If the run has one model per task, `task` is the number of the task whose model answers. Raises MemlmError,
        naming the line, for a word that the model does not know.
        """
        lines = story.splitlines() if isinstance(story, str) else story
        return self.ask_lines((line.encode() for line in lines), question, source="the story", task=task)

    def ask_lines(self, lines: Iterable[bytes], question: str, *, source: str, task: int | None = None) -> Answer:
        """`ask` with the story as the lines of a file. Error messages call the file `source`."""
        model = self._model(task)
        return ask(model.model, model.words, question_about(lines, question, source))

    def __repr__(self) -> str:
        tasks = ", ".join(map(str, self.models))
        return f"<memlm tasks {self.config.model.label}, {self.run.path}, task {tasks}>"

    def evaluate(self, split: str = "test", *, protocol: str = PROTOCOL) -> TaskPassport:
        """The errors of the run's tasks in percent, with all facts that they depend on. Each question counts once.

        Keys beside those of every passport: `tasks`, `names` and `support` by task; `mean_error`; `failed_tasks`;
        `absent`, the tasks of the dataset that a run of all tasks lacks; `paper`, the figures of the paper, if the
        settings are those of a column of Table 1. Support is the share of questions for which some hop gives its
        highest weight to a sentence that supports the answer. Raises MemlmError for an unknown split or protocol.
        """
        if split not in SPLITS:
            raise MemlmError(f"{self.config.dataset} has no split {split!r}: it has {', '.join(SPLITS)}")
        if protocol != PROTOCOL:
            raise MemlmError(f"protocol {protocol} is only for texts: questions are scored with {PROTOCOL}")
        began = time.perf_counter()
        figures = {task: _score(model, task, split) for task, model in self.models.items()}
        train, names = self.config.train, task_names(self.config.dataset)
        keys = {
            "run": str(self.run.path),
            "model": self.config.model.name,
            "label": self.config.model.label,
            "dataset": self.config.dataset,
            "size": train.size,
            "joint": train.joint,
            "split": split,
            "protocol": PROTOCOL,
            "checkpoint": "best",
            "parameters": next(iter(self.models.values())).model.parameter_count,
            "questions": sum(figure.questions for figure in figures.values()),
            **summary.summarise_errors({str(task): figure.error for task, figure in figures.items()}),
            "support": {str(task): figure.support for task, figure in figures.items()},
            "names": {str(task): names[task - 1] for task in figures},
            "absent": [task for task in range(1, len(names) + 1) if train.task == "all" and task not in figures],
            "paper": self._paper(),
            "data_sha256": {str(task): figure.sha256 for task, figure in figures.items()},
            "seconds": time.perf_counter() - began,
        }
        return TaskPassport(keys)

    def record(self, result: TaskPassport) -> None:
        """Write a result of `evaluate` to the run folder. It replaces the earlier result of the same split."""
        self.run.write_json(EVALUATIONS, self.run.read_json(EVALUATIONS) | {result["split"]: result})

    def _model(self, task: int | None) -> TrainedAnswerer:
        known = ", ".join(map(str, self.models))
        if task is None and len(self.models) > 1 and is_collection(self.config):
            raise MemlmError(f"{self.run.path} has one model per task: choose one, with --task {known}")
        if task is not None and task not in self.models:
            raise MemlmError(f"{self.run.path} has no task {task}: it has {known}")
        return next(iter(self.models.values())) if task is None else self.models[task]

    def _paper(self) -> dict[str, Any] | None:
        """The paper's figures for the tasks of this run, or None if the paper has no such column or dataset."""
        column = column_of(self.config)
        if column is None or self.config.dataset != "babi":
            return None
        return {"column": column} | paper.figures(column, self.models, self.config.train.size)


class _Figures(NamedTuple):
    """The figures of one task: number of questions, error in percent, share of support, hash of the questions."""

    questions: int
    error: float
    support: float | None
    sha256: str


def _score(trained: TrainedAnswerer, task: int, split: str) -> _Figures:
    config, model = trained.config, trained.model
    asked = load_questions(config.dataset, task, config.train.size)[split]
    questions = encode(asked, trained.words, memory_size=model.memory_size)
    feed = Feed(questions, model, device=model.device)
    wrong = answer_all(model, feed, np.arange(len(questions))).wrong[0]
    error = 100 * int(wrong.sum()) / len(wrong)
    return _Figures(len(wrong), error, support_share(model, feed, questions), data_sha256(asked))
