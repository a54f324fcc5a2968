"""Errors, costs and supporting sentences of answers.

R restarts, Q questions, K hops, S sentences that the memory holds, V words of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from memlm.data.questions.encode import Ids, QuestionSet
from memlm.evaluation.inputs import Feed
from memlm.models.answerer import Answerer

AT_ONCE = 250  # questions of a restart that are answered at once


class Answers(NamedTuple):
    """What each restart made of each question: its cost in nats, and whether the answer is wrong, (R, Q) both."""

    nats: npt.NDArray[np.float64]
    wrong: npt.NDArray[np.bool_]


@torch.no_grad()
def answer_all(model: Answerer, feed: Feed, numbers: Ids, straight: Tensor | None = None) -> Answers:
    """The answers to the questions of these numbers, (R, Q), or (Q,) for the same ones in every restart."""
    numbers = np.tile(numbers, (model.restarts, 1)) if numbers.ndim == 1 else numbers
    parts = []
    for at in range(0, numbers.shape[1], AT_ONCE):
        chosen = numbers[:, at : at + AT_ONCE]
        scores, _ = model(feed(chosen), straight)
        parts.append(judge(scores, feed.answers[torch.from_numpy(chosen).to(scores.device)]))
    nats, wrong = (torch.cat(part, dim=1).cpu().numpy() for part in zip(*parts, strict=True))
    return Answers(nats.astype(np.float64), wrong)


def judge(scores: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """Nats (R, B), differentiable, and whether the highest score is not the answer's, (R, B).

    An answer that no training question has (-1) is infinitely far. Scores that are not numbers are wrong.
    """
    flat = cross_entropy(scores.flatten(0, 1), answers.clamp_min(0).flatten(), reduction="none")
    nats = flat.view(answers.shape).masked_fill(answers < 0, torch.inf)
    wrong = scores.detach().argmax(dim=2) != answers
    return nats, wrong | nats.detach().isnan()


@torch.no_grad()
def looked_at(model: Answerer, feed: Feed, questions: QuestionSet) -> npt.NDArray[np.bool_] | None:
    """Of each question (Q,), whether some hop looks most at a supporting sentence.

    A hop that gives nothing, the null memory, at least as much as any sentence does not count. The model is one
    restart, `feed` that of the questions. None for a model without a memory.
    """
    found = np.zeros(len(questions), np.bool_)
    for at in range(0, len(questions), AT_ONCE):
        numbers = np.arange(at, min(at + AT_ONCE, len(questions)))
        _, weights = model(feed(numbers[None]))
        if not weights:
            return None
        for hop in weights:
            weight, highest = hop[0].double().max(dim=1)  # slots of the longest story among these, the last ones of S
            slots = highest.cpu().numpy() + questions.supporting.shape[1] - hop.shape[2]
            to_a_sentence = (weight > 1 - hop[0].double().sum(dim=1)).cpu().numpy()
            found[numbers] |= questions.supporting[numbers, slots] & to_a_sentence
    return found


def share_looked_at(model: Answerer, feed: Feed, questions: QuestionSet) -> float | None:
    """The share of `looked_at` among the questions whose supporting sentences are known; None where there is none."""
    known = questions.supporting.any(axis=1)
    found = looked_at(model, feed, questions)
    return None if found is None or not known.any() else float(found[known].mean())


LIKELIEST = 5  # answers that a result names


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer:
    """The likeliest answer and its probability; `distribution` (V,) is over `words`.

    `sentences` are those that the memory holds, oldest first, and `attention` (K, S) the weight that each hop gave to
    each of them; a model without a memory has None. `supporting` (S,) marks the sentences that the answer follows from
    and `expected` is the right answer, where the story tells them.

    >>> answer = memlm.load("runs/questions").ask("Hugo went to the garden.", "Where is Hugo?")
    >>> answer.answer
    'garden'
    >>> answer.attention.shape  # 3 hops, 1 sentence
    (3, 1)
    """

    question: str
    answer: str
    probability: float
    words: Sequence[str]
    distribution: npt.NDArray[np.float64]
    sentences: Sequence[str]
    attention: npt.NDArray[np.float64] | None
    supporting: npt.NDArray[np.bool_] | None
    expected: str | None
    forgotten: int  # sentences of the story before those that the memory holds

    @property
    def nothing(self) -> npt.NDArray[np.float64] | None:
        """The weight (K,) that each hop gave to no sentence, but to the null memory."""
        return None if self.attention is None else np.clip(1 - self.attention.sum(axis=1), 0, 1)

    def __repr__(self) -> str:
        return f"<answer {self.answer!r} to {self.question!r}, probability {self.probability:.2f}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm ask --json` prints, but for the run."""
        return {
            "question": self.question,
            "answer": self.answer,
            "probability": self.probability,
            "likeliest": dict(self.top()),
            "expected": self.expected,
            "sentences": list(self.sentences),
            "supporting": None if self.supporting is None else self.supporting.tolist(),
            "attention": None if self.attention is None else self.attention.tolist(),
            "nothing": None if self.nothing is None else self.nothing.tolist(),
            "forgotten": self.forgotten,
        }

    def top(self, count: int = LIKELIEST) -> list[tuple[str, float]]:
        """The likeliest answers with their probabilities, the likeliest first."""
        best = np.argsort(-self.distribution, kind="stable")[:count]
        return [(self.words[i], float(self.distribution[i])) for i in best]
