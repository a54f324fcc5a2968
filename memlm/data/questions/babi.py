"""The bAbI format: the numbered statements and questions of stories (Weston et al. 2015, arXiv:1502.05698).

    1 Mary went to the kitchen.
    2 John moved to the hallway.
    3 Where is Mary?<tab>kitchen<tab>1

A line is a statement or a question. A tab separates a question from its answer, and another tab the answer from the
numbers of the supporting statements. The number 1 begins a new story. Words are in lower case, without the full stop
and the question mark, as in the code of Sukhbaatar et al. 2015 (parseBabiTask.m of github.com/facebookarchive/MemNN).
A list answer, `apple,milk`, is a class of its own.
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
    """A question, its answer, and all earlier statements of its story, oldest first.

    `supporting` holds the 0-based indices into `story` of the statements that the answer follows from, in the order of
    the file; it is empty if they are not known. `source` names the file, `line` is the line of the question in it, and
    `lines` are the lines of the statements.
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
    """A parsed line. A statement has no answer."""

    number: int
    words: Sentence
    answer: str | None = None
    supporting: tuple[int, ...] = ()  # line numbers of the story


@dataclass(kw_only=True)
class _Story:
    """The statements of a story so far: number in the story -> words, line in the file."""

    statements: dict[int, tuple[Sentence, int]] = field(default_factory=dict)

    def add(self, line: _Line, file_line: int) -> None:
        """Add a statement, or check a question. Raises MemlmError for a question that can't be one."""
        if line.answer is None:
            self.statements[line.number] = (line.words, file_line)
        elif not self.statements:
            raise MemlmError("a question before the first sentence of its story")
        for number in line.supporting:
            if number not in self.statements:
                raise MemlmError(f"the supporting number {number} is not that of an earlier sentence of this story")

    def question(self, line: _Line, file_line: int, source: str) -> Question:
        """The question in this line, with the statements so far."""
        slots = {number: slot for slot, number in enumerate(self.statements)}
        return Question(
            story=tuple(words for words, _ in self.statements.values()),
            words=line.words,
            answer=line.answer or "",
            supporting=tuple(slots[number] for number in line.supporting),
            line=file_line,
            lines=tuple(stated for _, stated in self.statements.values()),
            source=source,
        )


def read_questions(path: Path) -> list[Question]:
    """All questions of a file in the bAbI format, in order.

    Raises MemlmError, with the file and the line, if the file is not in the format or has no question.
    """
    with opened(path) as file:
        return parse(file, str(path))


def parse(lines: Iterable[bytes], source: str) -> list[Question]:
    """Parse lines in the bAbI format, as `read_questions` does. `source` names them in errors."""
    questions: list[Question] = []
    file_line = 0
    for file_line, line, story in _parse_lines(enumerate(lines, 1), source):
        if line.answer is not None:
            questions.append(story.question(line, file_line, source))
    if not questions:
        raise MemlmError(
            f"{source} is empty" if file_line == 0 else f"{source}, line {file_line}: ends without a question"
        )
    return questions


def question_about(lines: Iterable[bytes], question: str, source: str) -> Question:
    """A question about one story. The lines of the story are plain sentences or have bAbI's numbers.

    Blank lines are ignored. A line without a number may hold several sentences, each with its full stop. A numbered
    story may contain questions. If this question is among them, its last occurrence gives the story before it, the
    answer and the supporting sentences. Otherwise the answer is empty and the line is 0. Raises MemlmError, with the
    line, if the lines are not a story or more than one.
    """
    asked = sentence(question)
    if not asked:
        raise MemlmError("the question is empty")
    numbered = [(file_line, raw) for file_line, raw in enumerate(lines, 1) if raw.strip()]
    plain = [file_line for file_line, raw in numbered if not raw.split()[0].isdigit()]
    if 0 < len(plain) < len(numbered):
        raise MemlmError(f"{source}, line {plain[0]}: no number at the start, but other lines have one")
    if plain:
        sentences = [
            (file_line, part) for file_line, raw in numbered for part in re.split(rb"(?<=\.)\s+", raw.strip())
        ]
        numbered = [(file_line, b"%d %s" % (number, part)) for number, (file_line, part) in enumerate(sentences, 1)]
    found, line, story = None, None, _Story()
    for file_line, line, story in _parse_lines(numbered, source):
        if line.number == 1 and file_line != numbered[0][0]:
            raise MemlmError(f"{source}, line {file_line}: another story begins; a question must be about one story")
        if line.answer is not None and line.words == asked:
            found = story.question(line, file_line, source)
    if line is None:
        raise MemlmError(f"{source} is empty: it must have one sentence per line")
    return found or story.question(_Line(number=line.number + 1, words=asked, answer=""), 0, source)


def _parse_lines(lines: Iterable[tuple[int, bytes]], source: str) -> Iterator[tuple[int, _Line, _Story]]:
    """Each line number of the file, with the parsed line and the story up to and including it."""
    story, last = _Story(), 0
    for file_line, raw in lines:
        try:
            line = _parse_line(raw)
            if line.number == 1:
                story = _Story()
            elif line.number != last + 1:
                expected = f"1 or {last + 1}" if last else "1"
                raise MemlmError(f"number {line.number} is out of order: expected {expected}")
            story.add(line, file_line)
        except MemlmError as error:
            raise MemlmError(f"{source}, line {file_line}: {error}") from None
        last = line.number
        yield file_line, line, story


def _parse_line(raw: bytes) -> _Line:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MemlmError("not UTF-8 text") from None
    number, _, rest = text.rstrip("\r\n").partition(" ")
    if not _is_number(number):
        raise MemlmError("no number at the start: a line must be a number, a space and a sentence")
    text, *fields = rest.split("\t")
    words = sentence(text)
    if not words:
        raise MemlmError("a number without a sentence")
    if not fields and "?" not in text:
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
    """The words of a statement or question: in lower case, split at white space, without the final `.` or `?`."""
    return tuple(text.lower().strip().removesuffix(".").removesuffix("?").split())
