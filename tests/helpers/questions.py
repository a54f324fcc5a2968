"""Random stories with questions."""

import numpy as np

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
