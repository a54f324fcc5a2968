"""Questions as arrays: sentences, stories, answers under one vocabulary.

Q questions, U different sentences, S memory slots, W words of the longest sentence.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from memlm.data.questions.babi import Question, Sentence
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError

EMPTY = -1  # no word, no sentence
UNSEEN = -1  # an answer that training never gave: no prediction can be right

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Questions as ids of one vocabulary.

    - sentences (U, W): words of the different sentences of all stories, padded at the end with EMPTY
    - stories (Q, S): rows of `sentences` by memory slot; the last slot is the most recent sentence, a story shorter
      than S leaves the first slots EMPTY
    - questions (Q, W): words, padded at the end with EMPTY
    - answers (Q,): one class each, or UNSEEN
    - supporting (Q, S): whether the answer follows from the slot's sentence
    """

    sentences: Ids
    stories: Ids
    questions: Ids
    answers: Ids
    supporting: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, chosen: npt.NDArray[np.integer]) -> "QuestionSet":
        """The questions of these numbers, in this order, over the same sentences."""
        per_question = ("stories", "questions", "answers", "supporting")
        return replace(self, **{name: getattr(self, name)[chosen] for name in per_question})

    @property
    def sha256(self) -> str:
        """Hash of the ids and their shapes."""
        digest = hashlib.sha256()
        for field in fields(self):
            array = getattr(self, field.name)
            digest.update(f"{field.name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def vocabulary(questions: Iterable[Question]) -> WordList:
    """Every word of the stories and questions and every answer, in alphabetical order.

    An answer is a word like any other; a list answer is one more. All tasks have 177 in v1.1 [Sukhbaatar et al. 2015],
    and 173 in the training questions of v1.2.
    """
    words: set[str] = set()
    seen: set[Sentence] = set()
    for question in questions:
        seen.update(question.story)
        words.update(question.words, [question.answer])
    return WordList(sorted(words.union(*seen)))


def encode(questions: Sequence[Question], words: WordList, *, memory_size: int) -> QuestionSet:
    """The questions as arrays; S is the longest story's length, `memory_size` at most.

    Raises MemlmError, naming file and line, for a word of a story or question that the vocabulary does not hold.
    """
    kept = [question.story[-memory_size:] for question in questions]
    numbers: dict[Sentence, int] = {}
    for question, story in zip(questions, kept, strict=True):
        refuse_unknown(question.words, words, f"{question.source}, line {question.line}")
        for said, line in zip(story, question.lines[-memory_size:], strict=True):
            if said not in numbers:
                refuse_unknown(said, words, f"{question.source}, line {line}")
                numbers[said] = len(numbers)
    S = max(map(len, kept), default=0)
    asked = [question.words for question in questions]
    W = max(map(len, (*numbers, *asked)), default=0)
    stories = np.full((len(questions), S), EMPTY, np.int64)
    supporting = np.zeros((len(questions), S), np.bool_)
    for q, (question, story) in enumerate(zip(questions, kept, strict=True)):
        stories[q, S - len(story) :] = [numbers[said] for said in story]
        slots = S - len(question.story) + np.array(question.supporting, np.int64)
        supporting[q, slots[slots >= S - len(story)]] = True
    answers = np.fromiter(words.ids(question.answer for question in questions), np.int64, len(questions))
    return QuestionSet(
        sentences=_padded(numbers, words, W),
        stories=stories,
        questions=_padded(asked, words, W),
        answers=answers,
        supporting=supporting,
    )


def refuse_unknown(said: Sentence, words: WordList, where: str) -> None:
    """Raise MemlmError for the first word of a sentence that the vocabulary does not hold."""
    for word in said:
        if word not in words:
            raise MemlmError(f"{where}: unknown word {word!r}: it is not among the {len(words)} words of training")


def data_sha256(questions: Iterable[Question]) -> str:
    """Hash of what is asked and answered: two scores can be compared only if it is the same."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(repr((question.story, question.words, question.answer)).encode())
    return digest.hexdigest()


def hold_out(count: int, *, seed: int, share: float) -> tuple[Ids, Ids]:
    """Numbers of the training and of the validation questions out of `count`: a seeded shuffle, cut in two.

    By question, not by story: training sees the stories of most validation questions, under other questions.
    """
    order = np.random.default_rng(seed).permutation(count)
    kept = count - round(share * count)
    return order[:kept], order[kept:]


def _padded(sentences: Iterable[Sentence], words: WordList, W: int) -> Ids:
    """Ids of the sentences' words, (len(sentences), W)."""
    rows = list(sentences)
    ids = np.full((len(rows), W), EMPTY, np.int64)
    for row, said in zip(ids, rows, strict=True):
        row[: len(said)] = list(words.ids(said))
    return ids
