"""Whether the hops of a model fall on the sentences that an answer follows from."""

import numpy as np
import numpy.typing as npt
import torch

from memlm.data.questions import QuestionSet
from memlm.models.answerer import Answerer
from memlm.qa.evaluate import AT_ONCE
from memlm.qa.feed import Feed


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
