"""Questions as arrays of ids under one vocabulary.

Q questions, U unique sentences, S memory slots, W words in the longest sentence.
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
UNSEEN = -1  # an answer that is not in the vocabulary: no prediction can be right

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Questions as ids under one vocabulary.

    - sentences (U, W): words of the unique sentences of all stories, padded at the end with EMPTY
    - stories (Q, S): the row of `sentences` in each memory slot. The last slot holds the most recent sentence. A story
      shorter than S leaves the first slots EMPTY
    - questions (Q, W): words, padded at the end with EMPTY
    - answers (Q,): the class of each answer, or UNSEEN
    - supporting (Q, S): whether the sentence of the slot supports the answer
    """

    sentences: Ids
    stories: Ids
    questions: Ids
    answers: Ids
    supporting: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.answers)

    def select(self, chosen: npt.NDArray[np.integer]) -> "QuestionSet":
        """The questions with these indices, in this order. The sentences stay the same."""
        per_question = ("stories", "questions", "answers", "supporting")
        return replace(self, **{name: getattr(self, name)[chosen] for name in per_question})

    @property
    def sha256(self) -> str:
        """The hash of the ids and their shapes."""
        digest = hashlib.sha256()
        for field in fields(self):
            array = getattr(self, field.name)
            digest.update(f"{field.name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def vocabulary(questions: Iterable[Question]) -> WordList:
    """All words of the stories and questions and all answers, in alphabetical order.

    A list answer is one word. All tasks together have 177 words in v1.1 [Sukhbaatar et al. 2015], and 173 in the
    training questions of v1.2.
    """
    words: set[str] = set()
    seen: set[Sentence] = set()
    for question in questions:
        seen.update(question.story)
        words.update(question.words, [question.answer])
    return WordList(sorted(words.union(*seen)))


def encode(questions: Sequence[Question], words: WordList, *, memory_size: int) -> QuestionSet:
    """The questions as arrays. S is the length of the longest story, but at most `memory_size`.

    Raises MemlmError, with the file and the line, for an unknown word in a story or question.
    """
    remembered = [question.story[-memory_size:] for question in questions]
    numbers: dict[Sentence, int] = {}
    for question, story in zip(questions, remembered, strict=True):
        refuse_unknown(question.words, words, f"{question.source}, line {question.line}")
        for sentence, line in zip(story, question.lines[-memory_size:], strict=True):
            if sentence not in numbers:
                refuse_unknown(sentence, words, f"{question.source}, line {line}")
                numbers[sentence] = len(numbers)
    S = max(map(len, remembered), default=0)
    asked = [question.words for question in questions]
    W = max(map(len, (*numbers, *asked)), default=0)
    stories = np.full((len(questions), S), EMPTY, np.int64)
    supporting = np.zeros((len(questions), S), np.bool_)
    for q, (question, story) in enumerate(zip(questions, remembered, strict=True)):
        stories[q, S - len(story) :] = [numbers[sentence] for sentence in story]
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


def refuse_unknown(sentence: Sentence, words: WordList, where: str) -> None:
    """Raise MemlmError for the first word of a sentence that is not in the vocabulary."""
    for word in sentence:
        if word not in words:
            raise MemlmError(f"{where}: unknown word {word!r}: it is not among the {len(words)} words of training")


def data_sha256(questions: Iterable[Question]) -> str:
    """The hash of the questions and answers. Two scores can be compared only if their hashes are equal."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(repr((question.story, question.words, question.answer)).encode())
    return digest.hexdigest()


def hold_out(count: int, *, seed: int, share: float) -> tuple[Ids, Ids]:
    """Indices of the training questions and of the validation questions: a seeded shuffle of `count`, cut in two.

    The split is by question, not by story. Training sees the stories of most validation questions, with other
    questions. Raises MemlmError if a part is empty.
    """
    order = np.random.default_rng(seed).permutation(count)
    training = count - round(share * count)
    if not 0 < training < count:
        raise MemlmError(
            f"validation_share is {share}, which leaves {training:,} of {count:,} questions for training and "
            f"{count - training:,} for validation: both need some"
        )
    return order[:training], order[training:]


def _padded(sentences: Iterable[Sentence], words: WordList, W: int) -> Ids:
    """Ids of the sentences' words, (len(sentences), W)."""
    rows = list(sentences)
    ids = np.full((len(rows), W), EMPTY, np.int64)
    for row, sentence in zip(ids, rows, strict=True):
        row[: len(sentence)] = list(words.ids(sentence))
    return ids
