"""Reading the bAbI format: what it means, and one line for what is not of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.data.questions.babi import Question, parse, question_about, read_questions
from memlm.errors import MemlmError

TEXT = """1 Mary went to the kitchen.
2 Is Mary in the Hall? \tno\t1
3 John took the ball there.
4 What does John hold?\tball,Lamp\t3 1
1 Julie is bored.
2 Where will julie go?\tgarden\t
"""


def test_a_question_has_the_story_told_before_it_and_its_supporting_sentences():
    one, two, three = parse(TEXT.encode().splitlines(keepends=True), "here")
    assert one.story == (("mary", "went", "to", "the", "kitchen"),)
    assert (one.words, one.answer, one.supporting) == (("is", "mary", "in", "the", "hall"), "no", (0,))
    assert two.story == (*one.story, ("john", "took", "the", "ball", "there"))
    assert (two.answer, two.supporting) == ("ball,lamp", (1, 0))  # numbers count questions, places don't
    assert (two.line, two.lines, two.source) == (4, (1, 3), "here")
    assert three.story == (("julie", "is", "bored"),)
    assert (three.words, three.answer, three.supporting) == (("where", "will", "julie", "go"), "garden", ())
    assert (three.line, three.lines) == (6, (5,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 A b.\n2 Where is A? b 1\n", "line 2: a missing tab"),
        ("1 A b.\n2 Where is A?\n", "line 2: a missing tab"),
        ("1 A b.\n2 Where is A?\tb\n", "line 2: a missing tab"),
        ("1 A b.\n2 Where is A?\tb\t1\t2\n", "line 2: a missing tab"),
        ("2 A b.\n", "line 1: number 2 is out of order: expected 1"),
        ("1 A b.\n3 B a.\n", "line 2: number 3 is out of order: expected 1 or 2"),
        ("1 A b.\n2 B a.\n2 B a.\n", "line 3: number 2 is out of order: expected 1 or 3"),
        ("1 A b.\n0 B a.\n", "line 2: number 0 is out of order"),
        ("1 A b.\n\n", "line 2: no number at the start"),
        ("A b.\n", "line 1: no number at the start"),
        ("²2 A b.\n", "line 1: no number at the start"),
        (f"{'1' * 5000} A b.\n", "line 1: no number at the start"),
        ("1 .\n", "line 1: a number without a sentence"),
        ("1\n", "line 1: a number without a sentence"),
        ("1 A b.\n2 ?\tb\t1\n", "line 2: a number without a sentence"),
        ("1 Where is A?\tb\t1\n", "line 1: a question before the first sentence of its story"),
        ("1 A b.\n2 A?\tb\t1\n1 A?\tb\t1\n", "line 3: a question before the first sentence of its story"),
        ("1 A b.\n2 Where is A?\t\t1\n", "line 2: the answer is ''"),
        ("1 A b.\n2 Where is A?\tb c\t1\n", "line 2: the answer is 'b c'"),
        ("1 A b.\n2 Where is A?\tb\tone\n", "line 2: 'one' is not the number of a supporting sentence"),
        ("1 A b.\n2 Where is A?\tb\t2\n", "line 2: the supporting number 2 is not that of an earlier sentence"),
        ("1 A b.\n2 A?\tb\t1\n3 A?\tb\t2\n", "line 3: the supporting number 2 is not that of an earlier sentence"),
        ("1 A b.\n2 B a.\n", "line 2: ends without a question"),
        ("", " is empty"),
    ],
)
def test_what_is_not_of_the_format_is_one_line_with_file_and_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "qa1_train.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MemlmError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_utf8_or_not_there_is_one_line(tmp_path: Path):
    path = tmp_path / "qa1_train.txt"
    path.write_bytes(b"1 A b.\n2 A\xff b.\n")
    with pytest.raises(MemlmError, match=r"qa1_train.txt, line 2: not UTF-8 text$"):
        read_questions(path)
    with pytest.raises(MemlmError, match="no file at"):
        read_questions(tmp_path / "nowhere.txt")


WORDS = st.sampled_from(
    ["1", "2", "3", "9", " ", " ", "\t", "\n", "\n", "a", "b.", "c?", "é", "\r", "\x85", "\0", "1 a.\n"]
)


@given(st.lists(WORDS, max_size=30).map("".join).map(str.encode) | st.binary(max_size=40))
def test_whatever_is_read_is_questions_or_one_line(data: bytes):
    questions, refusal = [], ""
    try:
        questions = parse(data.splitlines(keepends=True), "noise")
    except MemlmError as error:
        refusal = str(error)
    assert bool(questions) != refusal.startswith("noise")
    assert "\n" not in refusal
    for question in questions:
        assert question.story
        assert all(question.story)
        assert question.words
        assert question.answer
        assert set(question.supporting) <= set(range(len(question.story)))
        assert len(question.lines) == len(question.story)


def ask(text: str, question: str = "Where is Mary?") -> Question:
    return question_about(text.encode().splitlines(keepends=True), question, "story.txt")


@pytest.mark.parametrize(
    "text",
    [
        "Mary went home.\nJohn left.\n",
        "\nmary went home\n\n  John left.  \n\n",
        "Mary went home.  John left.",
        "1 Mary went home.\n2 John left.",
        "1 Mary went home.\n2 Who left?\tnobody\t1\n3 John left.\n",
    ],
)
def test_a_story_may_have_numbers_or_none(text: str):
    question = ask(text)
    assert question.story == (("mary", "went", "home"), ("john", "left"))
    assert (question.words, question.answer, question.supporting) == (("where", "is", "mary"), "", ())
    first, second = (text.splitlines()[line - 1] for line in question.lines)
    assert "home" in first
    assert "left" in second


def test_a_question_that_the_story_asks_brings_its_answer_and_the_story_before_it():
    text = "1 Mary went home.\n2 Where is Mary?\thome\t1\n3 Mary left.\n4 where is mary?\tnowhere\t3 1\n5 John left.\n"
    question = ask(text)
    assert len(question.story) == 2
    assert (question.answer, question.supporting, question.line) == ("nowhere", (1, 0), 4)
    assert len(ask(text, "Where is John?").story) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "story.txt is empty"),
        ("\n \n", "story.txt is empty"),
        ("1 Mary left.\n\n3 John left.\n", "story.txt, line 3: number 3 is out of order: expected 1 or 2"),
        ("1 Mary left.\n1 John left.\n", "story.txt, line 2: another story begins"),
        ("Mary left.\nWhere is Mary?\n", "story.txt, line 2: a missing tab"),
        ("1 Mary left.\nJohn left.\n3 Mary sat.\n", "story.txt, line 2: no number at the start"),
        ("3 men left.\nJohn left.\n", "story.txt, line 2: no number at the start"),
        ("Mary left.\n.\n", "story.txt, line 2: a number without a sentence"),
        ("1 Where is Mary?\thome\t1\n", "story.txt, line 1: a question before the first sentence"),
    ],
)
def test_what_is_not_one_story_is_refused_with_its_line(text: str, message: str):
    with pytest.raises(MemlmError) as caught:
        ask(text)
    assert message in str(caught.value)


def test_an_empty_question_is_refused():
    with pytest.raises(MemlmError, match="the question is empty"):
        ask("Mary left.", " ?")
