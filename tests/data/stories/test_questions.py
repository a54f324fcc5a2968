"""The embedded tasks are true: an independent reading of the sentences gives every answer."""

import hashlib
import re
from collections import Counter

import pytest

from memlm.data.catalog.datasets import STORIES_QA
from memlm.data.questions import babi
from memlm.data.questions.babi import Question, Sentence
from memlm.data.questions.encode import UNSEEN, encode, vocabulary
from memlm.data.questions.tasks import load_questions, task_files, task_names
from memlm.data.stories import questions as story_questions
from memlm.errors import MemlmError

ABSENT = "nowhere"


@pytest.fixture(scope="module")
def made() -> dict[str, list[Question]]:
    """The questions of every file, by its name."""
    files = story_questions.generate_questions()
    return {name: babi.parse([line.encode() for line in lines], name) for name, lines in files.items()}


class Reading:
    """What a reader knows who has nothing but the sentences."""

    def __init__(self, story: tuple[Sentence, ...]) -> None:
        self.place: dict[str, str] = {}
        self.holds: dict[str, list[str]] = {}
        self.lies: dict[str, str] = {}
        for said in story:
            self.read(" ".join(said))

    def read(self, said: str) -> None:
        if found := re.fullmatch(r"(\w+) (?:went|walked|returned) to the (\w+)", said):
            self.place[found[1]] = found[2]
        elif found := re.fullmatch(r"(\w+) (?:took|found) the (\w+)", said):
            # Somebody can take what was never told of, or what lies where they are.
            assert found[2] not in self.holder(), said
            assert self.lies.pop(found[2], ABSENT) in (ABSENT, self.place.get(found[1], ABSENT)), said
            self.holds.setdefault(found[1], []).append(found[2])
        elif found := re.fullmatch(r"(\w+) (?:dropped|left) the (\w+)", said):
            self.release(found[1], found[2])
            self.lies[found[2]] = self.place.get(found[1], ABSENT)
        elif found := re.fullmatch(r"(\w+) (?:gave|handed) the (\w+) to (\w+)", said):
            self.release(found[1], found[2])
            self.holds.setdefault(found[3], []).append(found[2])
        else:
            raise AssertionError(said)

    def release(self, person: str, thing: str) -> None:
        held = self.holds.setdefault(person, [])
        if thing in held:  # the supporting sentences alone may not tell how it came there
            held.remove(thing)

    def holder(self) -> dict[str, str]:
        return {thing: person for person, held in self.holds.items() for thing in held}

    def answer(self, question: str) -> str:
        if found := re.fullmatch(r"where is the (\w+)", question):
            holder = self.holder().get(found[1])
            return self.place[holder] if holder else self.lies[found[1]]
        if found := re.fullmatch(r"where is (\w+)", question):
            return self.place[found[1]]
        if found := re.fullmatch(r"who has the (\w+)", question):
            return self.holder().get(found[1], "nobody")
        if found := re.fullmatch(r"is (\w+) in the (\w+)", question):
            return "yes" if self.place[found[1]] == found[2] else "no"
        if found := re.fullmatch(r"how many things does (\w+) hold", question):
            return ["none", "one", "two"][len(self.holds[found[1]])]
        if found := re.fullmatch(r"what does (\w+) hold", question):
            return ",".join(self.holds[found[1]]) or "nothing"
        raise AssertionError(question)


def test_every_answer_follows_from_the_story(made: dict[str, list[Question]]):
    assert len(made) == 2 * len(story_questions.TASKS)
    for name, questions in made.items():
        assert len(questions) == 1000
        for question in questions:
            found = Reading(question.story).answer(" ".join(question.words))
            assert found == question.answer, (name, question.line)


def test_every_answer_follows_from_its_supporting_sentences_and_from_no_fewer(made: dict[str, list[Question]]):
    for name, questions in made.items():
        for question in questions:
            told = [question.story[i] for i in question.supporting]
            asked = " ".join(question.words)
            assert Reading(tuple(told)).answer(asked) == question.answer, (name, question.line)
            if len(told) == 1:
                continue
            for missing in range(len(told)):
                rest = tuple(said for i, said in enumerate(told) if i != missing)
                try:
                    changed = Reading(rest).answer(asked) != question.answer
                except KeyError:  # nothing is known of the person or thing any more
                    changed = True
                # That a thing is gone changes nothing where its coming is not told.
                assert changed or told[missing][1] in {"dropped", "left", "gave", "handed"}, (name, question.line)


def test_no_answer_is_so_common_that_guessing_it_would_do(made: dict[str, list[Question]]):
    for name, questions in made.items():
        assert Counter(question.answer for question in questions).most_common(1)[0][1] < 700, name


def test_training_gives_every_word_and_answer_of_the_test(made: dict[str, list[Question]]):
    for name, questions in made.items():
        words = vocabulary(made[name.replace("_test", "_train")])
        assert (encode(questions, words, memory_size=50).answers != UNSEEN).all()


def test_the_splits_do_not_share_a_story(made: dict[str, list[Question]]):
    whole = {name: {question.story for question in asked if len(question.story) >= 15} for name, asked in made.items()}
    for name, stories in whole.items():
        assert len(stories) >= 200
        if "_test" in name:
            assert not stories & whole[name.replace("_test", "_train")]


def test_the_catalogue_pins_what_is_generated_and_loads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path))
    texts = {name: ("\n".join(lines) + "\n").encode() for name, lines in story_questions.generate_questions().items()}
    assert {file.name: (file.sha256, file.size) for file in STORIES_QA.files} == {
        name: (hashlib.sha256(text).hexdigest(), len(text)) for name, text in texts.items()
    }
    for task in range(1, len(task_names("stories-qa")) + 1):
        for path in task_files("stories-qa", task).values():
            assert path.read_bytes() == texts[path.name]
    assert len(load_questions("stories-qa", 6)["test"]) == 1000
    with pytest.raises(MemlmError, match="stories-qa has no size 10k: it has 1k"):
        task_files("stories-qa", 1, "10k")


def test_another_seed_gives_other_stories_and_the_same_seed_the_same():
    first, again, other = (story_questions.generate_questions(seed=seed, questions=10) for seed in (1, 1, 2))
    assert first == again
    assert all(first[name] != other[name] for name in first)
    assert {len([line for line in lines if "\t" in line]) for lines in first.values()} == {10}
