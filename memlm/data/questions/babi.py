"""The bAbI format: numbered statements of a story, with questions among them (Weston et al. 2015, arXiv:1502.05698).

    1 Mary went to the kitchen.
    2 John moved to the hallway.
    3 Where is Mary?<tab>kitchen<tab>1

A line is a statement, or a question with its answer and the numbers of the statements that support it, between tabs.
The number 1 begins a new story. Words are read as the code of Sukhbaatar et al. 2015 reads them, parseBabiTask.m of
github.com/facebookarchive/MemNN: in lower case, without the full stop and the question mark. A list answer,
`apple,milk`, is one class of its own.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from memlm.data.corpus.reading import opened
from memlm.errors import MemlmError

Sentence = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, its answer, and all the statements of its story that were told before it, oldest first.

    `supporting` holds the 0-based places in `story` of the statements that the answer follows from, in the order
    of the file; it is empty where they are not known. `source` names the file, `line` the question's line in it and
    `lines` those of the statements.
    """

    story: tuple[Sentence, ...]
    words: Sentence
    answer: str
    supporting: tuple[int, ...]
    line: int
    lines: tuple[int, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line taken apart; a statement has no answer."""

    number: int
    words: Sentence
    answer: str | None = None
    supporting: tuple[int, ...] = ()  # numbers in the file


@dataclass(kw_only=True)
class _Story:
    """The statements of a story as they are told: number in the file -> words, line."""

    statements: dict[int, tuple[Sentence, int]] = field(default_factory=dict)

    def tell(self, line: _Line, place: int) -> None:
        """Add a statement; of a question, see that it can be one."""
        if line.answer is None:
            self.statements[line.number] = (line.words, place)
        elif not self.statements:
            raise MemlmError("a question before any sentence of its story")
        for number in line.supporting:
            if number not in self.statements:
                raise MemlmError(f"the supporting number {number} is not of an earlier sentence of this story")

    def question(self, line: _Line, place: int, source: str) -> Question:
        """The question of this line, over the statements so far."""
        slots = {number: slot for slot, number in enumerate(self.statements)}
        return Question(
            story=tuple(words for words, _ in self.statements.values()),
            words=line.words,
            answer=line.answer or "",
            supporting=tuple(slots[number] for number in line.supporting),
            line=place,
            lines=tuple(told for _, told in self.statements.values()),
            source=source,
        )


def read_questions(path: Path) -> list[Question]:
    """Every question of a file in the bAbI format, in its order.

    Raises MemlmError, naming the file and the line, for what is not of the format, and for a file without a question.
    """
    with opened(path) as file:
        return parse(file, str(path))


def parse(lines: Iterable[bytes], source: str) -> list[Question]:
    """`read_questions`, of lines that come from anywhere; `source` names them in errors."""
    questions: list[Question] = []
    place = 0
    for place, line, story in _told(enumerate(lines, 1), source):
        if line.answer is not None:
            questions.append(story.question(line, place, source))
    if not questions:
        raise MemlmError(f"{source} is empty" if place == 0 else f"{source}, line {place}: ends without a question")
    return questions


def about(lines: Iterable[bytes], question: str, source: str) -> Question:
    """A question about one story, told in sentences or in lines with bAbI's numbers; blank lines count nothing.

    A line without a number may hold several sentences, each with its full stop. A numbered story may hold questions of
    its own: if this one is among them, the last time it is asked gives the story before it, the answer and the
    supporting sentences; otherwise the answer is empty, the line 0. Raises MemlmError, naming the line, for what is
    not a story, and for more than one.
    """
    asked = sentence(question)
    if not asked:
        raise MemlmError("the question is empty")
    there = [(place, raw) for place, raw in enumerate(lines, 1) if raw.strip()]
    plain = [place for place, raw in there if not raw.split()[0].isdigit()]
    if 0 < len(plain) < len(there):
        raise MemlmError(f"{source}, line {plain[0]}: no number at the start, where other lines have one")
    if plain:
        said = [(place, part) for place, raw in there for part in re.split(rb"(?<=\.)\s+", raw.strip())]
        there = [(place, b"%d %s" % (number, part)) for number, (place, part) in enumerate(said, 1)]
    found, line, story = None, None, _Story()
    for place, line, story in _told(there, source):
        if line.number == 1 and place != there[0][0]:
            raise MemlmError(f"{source}, line {place}: another story begins; a question is about one")
        if line.answer is not None and line.words == asked:
            found = story.question(line, place, source)
    if line is None:
        raise MemlmError(f"{source} is empty: it must hold a sentence a line")
    return found or story.question(_Line(number=line.number + 1, words=asked, answer=""), 0, source)


def _told(lines: Iterable[tuple[int, bytes]], source: str) -> Iterator[tuple[int, _Line, _Story]]:
    """Each line with its place in the file, and the story so far, the line included."""
    story, last = _Story(), 0
    for place, raw in lines:
        try:
            line = _take_apart(raw)
            if line.number == 1:
                story = _Story()
            elif line.number != last + 1:
                expected = f"1 or {last + 1}" if last else "1"
                raise MemlmError(f"number {line.number} is out of order: expected {expected}")
            story.tell(line, place)
        except MemlmError as error:
            raise MemlmError(f"{source}, line {place}: {error}") from None
        last = line.number
        yield place, line, story


def _take_apart(raw: bytes) -> _Line:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MemlmError("not UTF-8 text") from None
    number, _, rest = text.rstrip("\r\n").partition(" ")
    if not _is_number(number):
        raise MemlmError("no number at the start: a line is a number, a space and a sentence")
    said, *fields = rest.split("\t")
    words = sentence(said)
    if not words:
        raise MemlmError("a number without a sentence")
    if not fields and "?" not in said:
        return _Line(number=int(number), words=words)
    if len(fields) != 2:
        raise MemlmError("a missing tab: a question is followed by a tab, its answer, a tab and supporting numbers")
    answer = fields[0].strip().lower()
    if not answer or len(answer.split()) > 1:
        raise MemlmError(f"the answer is {answer!r}: it must be one word, or a list with commas and no spaces")
    return _Line(number=int(number), words=words, answer=answer, supporting=tuple(_supporting(fields[1])))


def _supporting(text: str) -> Iterator[int]:
    for number in text.split():
        if not _is_number(number):
            raise MemlmError(f"{number!r} is not the number of a supporting sentence")
        yield int(number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def sentence(text: str) -> Sentence:
    """The words of a statement or question: lower case, split at white space, without its last `.` or `?`."""
    return tuple(text.lower().strip().removesuffix(".").removesuffix("?").split())
