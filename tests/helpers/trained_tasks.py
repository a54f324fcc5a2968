"""Runs of question answering that have ended, of random weights, over made-up stories."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memlm.config.run import QAConfig, is_collection
from memlm.data.questions.babi import Question
from memlm.data.questions.encode import vocabulary
from memlm.data.vocabulary.words import WordList
from memlm.models import build
from memlm.runs import checkpoint, summary
from memlm.runs.folder import RunFolder
from tests.helpers.questions import random_questions

STORY = "Mary went to the hall.\nJohn went to the garden.\n"


def questions_of(task: int) -> dict[str, list[Question]]:
    """Stories of a task's own."""
    return {split: random_questions(np.random.default_rng([task, len(split)]), 25) for split in ("train", "test")}


def ended(path: Path, config: QAConfig, tasks: list[int], *, seed: int = 1, more_words: Sequence[str] = ()) -> Path:
    """A run that has ended, of random weights; `more_words` are in its vocabulary too."""
    run = RunFolder.create(path, config)
    if is_collection(config):
        for task in tasks:
            own = dataclasses.replace(config, train=config.train.replace({"task": str(task)}))
            ended(summary.task_folder(path, task), own, [task], seed=task)
    else:
        known = vocabulary([question for task in tasks for question in questions_of(task)["train"]]).words
        words = WordList(sorted([*known, *more_words]))
        model = build.build_answerer(config, len(words), restarts=1)
        model.init_std = 0.6
        model.initialise(seed)
        run.write_settings(config, words)
        checkpoint.save(run.best, model, {"step": 1})
    figures: dict[str, Any] = {"model": config.model.name, "label": config.model.label, "dataset": config.dataset}
    figures |= {"size": config.train.size, "joint": config.train.joint}
    counts = dict.fromkeys(("parameters", "epochs", "steps", "seconds"), 1)
    run.write_json("summary.json", figures | counts | summary.summarise_errors({str(task): 0.0 for task in tasks}))
    return path
