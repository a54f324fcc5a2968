"""Random stories with questions, and short tasks in place of the stories' own."""

from typing import Any

import numpy as np
import pytest

from memlm.data.questions import tasks
from memlm.data.questions.babi import Question, parse

PEOPLE, PLACES = ("mary", "john", "anna"), ("kitchen", "garden", "hall")


def random_questions(rng: np.random.Generator, count: int = 12) -> list[Question]:
    """Questions after one to nine sentences: where somebody is who was told of."""
    lines = []
    for _ in range(count):
        told: dict[str, tuple[str, int]] = {}
        for number in range(1, int(rng.integers(2, 11))):
            person = str(rng.choice(PEOPLE))
            told[person] = (str(rng.choice(PLACES)), number)
            lines.append(f"{number} {person} went to the {told[person][0]}.")
        person = str(rng.choice(list(told)))
        lines.append(f"{number + 1} where is {person}?\t{told[person][0]}\t{told[person][1]}")
    return parse([line.encode() for line in lines], "made")


def shorten_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 questions of training and 30 of them to test on: a short test split may hold words that training lacks."""
    load = tasks.load_questions

    def few(*where: Any) -> dict[str, Any]:
        asked = load(*where)["train"][:60]
        return {"train": asked, "test": asked[:30]}

    monkeypatch.setattr(tasks, "load_questions", few)
    monkeypatch.setattr("memlm.inference.questions.load_questions", few)
    monkeypatch.setitem(tasks.TASKS, "stories-qa", tasks.TASKS["stories-qa"][:3])
