"""Losses, errors and support of answers.

R restarts, B or Q questions, K hops, S sentences in the memory, V words in the vocabulary.
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

AT_ONCE = 250  # questions per restart that are answered at once


class Answers(NamedTuple):
    """The loss in nats (R, Q) of each restart for each question, and whether its answer is wrong (R, Q)."""

    nats: npt.NDArray[np.float64]
    wrong: npt.NDArray[np.bool_]


@torch.no_grad()
def answer_all(model: Answerer, feed: Feed, numbers: Ids, linear_start: Tensor | None = None) -> Answers:
    """Answer the questions with these numbers: (R, Q), or (Q,) if they are the same for every restart.

    Restarts with `linear_start` (R, 1, 1) attend without the softmax.
    """
    numbers = np.tile(numbers, (model.restarts, 1)) if numbers.ndim == 1 else numbers
    parts = []
    for at in range(0, numbers.shape[1], AT_ONCE):
        chosen = numbers[:, at : at + AT_ONCE]
        scores, _ = model(feed(chosen), linear_start)
        parts.append(judge(scores, feed.answers[torch.from_numpy(chosen).to(scores.device)]))
    nats, wrong = (torch.cat(part, dim=1).cpu().numpy() for part in zip(*parts, strict=True))
    return Answers(nats.astype(np.float64), wrong)


def judge(scores: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """The losses in nats (R, B), which are differentiable, and which answers are wrong (R, B).

    `scores` is (R, B, V); `answers` (R, B) has the ids of the right answers. If the right answer is not in the
    vocabulary (-1), the loss is infinite. Scores that are NaN are wrong answers.
    """
    flat = cross_entropy(scores.flatten(0, 1), answers.clamp_min(0).flatten(), reduction="none")
    nats = flat.view(answers.shape).masked_fill(answers < 0, torch.inf)
    wrong = scores.detach().argmax(dim=2) != answers
    return nats, wrong | nats.detach().isnan()


@torch.no_grad()
def finds_support(model: Answerer, feed: Feed, questions: QuestionSet) -> npt.NDArray[np.bool_] | None:
    """For each question (Q,), whether some hop gives its highest weight to a supporting sentence.

    A hop whose highest weight is that of the null memory does not count. The model has one restart, and `feed` is made
    from the questions. The result is None for a model without a memory.
    """
    supported = np.zeros(len(questions), np.bool_)
    for at in range(0, len(questions), AT_ONCE):
        numbers = np.arange(at, min(at + AT_ONCE, len(questions)))
        _, weights = model(feed(numbers[None]))
        if not weights:
            return None
        for hop in weights:
            weight, highest = hop[0].double().max(dim=1)  # the last slots of S, as many as the longest story has
            slots = highest.cpu().numpy() + questions.supporting.shape[1] - hop.shape[2]
            to_a_sentence = (weight > 1 - hop[0].double().sum(dim=1)).cpu().numpy()
            supported[numbers] |= questions.supporting[numbers, slots] & to_a_sentence
    return supported


def support_share(model: Answerer, feed: Feed, questions: QuestionSet) -> float | None:
    """The share of questions for which `finds_support` is true, among those whose supporting sentences are known.

    None if there are no such questions, or if the model has no memory.
    """
    known = questions.supporting.any(axis=1)
    supported = finds_support(model, feed, questions)
    return None if supported is None or not known.any() else float(supported[known].mean())


LIKELIEST = 5  # answers in a result


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer:
    """The answer to a question, with its probability. `distribution` (V,) is over `words`.

    `sentences` are those in the memory, oldest first. `attention` (K, S) has the weight of each sentence at each hop,
    or is None for a model without a memory. If the story has them, `supporting` (S,) marks the sentences that the
    answer follows from, and `expected` is the right answer.

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
    forgotten: int  # number of earlier sentences of the story, which do not fit in the memory

    @property
    def nothing(self) -> npt.NDArray[np.float64] | None:
        """The weight (K,) of the null memory at each hop."""
        return None if self.attention is None else np.clip(1 - self.attention.sum(axis=1), 0, 1)

    def __repr__(self) -> str:
        return f"<answer {self.answer!r} to {self.question!r}, probability {self.probability:.2f}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm ask --json` prints, without the run."""
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
        """The `count` likeliest answers with their probabilities, the likeliest first."""
        best = np.argsort(-self.distribution, kind="stable")[:count]
        return [(self.words[i], float(self.distribution[i])) for i in best]
