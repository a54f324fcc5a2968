"""A model's answer to a question about a story, with what each hop looked at.

K hops, S sentences that the memory holds, V words of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from memlm.data.babi import Question
from memlm.data.questions import encode, refuse_unknown
from memlm.data.vocab import WordList
from memlm.models.answerer import Answerer
from memlm.qa.feed import Feed


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The likeliest answer and its probability; `distribution` (V,) is over `words`.

    `sentences` are those that the memory holds, oldest first, and `attention` (K, S) the weight that each hop gave to
    each of them; a model without a memory has None. `supporting` (S,) marks the sentences that the answer follows from
    and `expected` is the right answer, where the story tells them.
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

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest answers with their probabilities, the likeliest first."""
        best = np.argsort(-self.distribution, kind="stable")[:count]
        return [(self.words[i], float(self.distribution[i])) for i in best]


@torch.no_grad()
def ask(model: Answerer, words: WordList, question: Question) -> Answer:
    """The answer of a model of one restart. Raises MemlmError, naming the line, for a word that it does not know."""
    refuse_unknown(question.words, words, "the question")
    encoded = encode([question], words, memory_size=model.memory_size)
    feed = Feed(encoded, model, device=next(model.parameters()).device)
    scores, weights = model(feed(np.zeros((1, 1), np.int64)))
    distribution = scores[0, 0].double().softmax(0).cpu().numpy()
    best = int(distribution.argmax())
    kept = question.story[-model.memory_size :]
    return Answer(
        question=" ".join(question.words),
        answer=words.words[best],
        probability=float(distribution[best]),
        words=words.words,
        distribution=distribution,
        sentences=[" ".join(said) for said in kept],
        attention=np.stack([hop[0, 0].double().cpu().numpy() for hop in weights]) if weights else None,
        supporting=encoded.supporting[0] if question.supporting else None,
        expected=question.answer or None,
        forgotten=len(question.story) - len(kept),
    )
