"""Errors and costs of answers; knows no optimizer. R restarts, Q questions."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from memlm.data.questions import Ids
from memlm.models.answerer import Answerer
from memlm.qa.feed import Feed

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
