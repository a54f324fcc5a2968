"""The answer of a model to a question about a story, and what each hop attended to.

K hops, S sentences in the memory, V words in the vocabulary.
"""

import numpy as np
import torch

from memlm.data.questions.babi import Question
from memlm.data.questions.encode import encode, refuse_unknown
from memlm.data.vocabulary.words import WordList
from memlm.evaluation.answers import Answer
from memlm.evaluation.inputs import Feed
from memlm.models.answerer import Answerer


@torch.no_grad()
def ask(model: Answerer, words: WordList, question: Question) -> Answer:
    """The answer of a model with one restart. Raises MemlmError, naming the line, for an unknown word."""
    refuse_unknown(question.words, words, "the question")
    encoded = encode([question], words, memory_size=model.memory_size)
    feed = Feed(encoded, model, device=model.device)
    scores, weights = model(feed(np.zeros((1, 1), np.int64)))
    distribution = scores[0, 0].double().softmax(0).cpu().numpy()
    best = int(distribution.argmax())
    remembered = question.story[-model.memory_size :]
    return Answer(
        question=" ".join(question.words),
        answer=words.words[best],
        probability=float(distribution[best]),
        words=words.words,
        distribution=distribution,
        sentences=[" ".join(sentence) for sentence in remembered],
        attention=np.stack([hop[0, 0].double().cpu().numpy() for hop in weights]) if weights else None,
        supporting=encoded.supporting[0] if question.supporting else None,
        expected=question.answer or None,
        forgotten=len(question.story) - len(remembered),
    )
