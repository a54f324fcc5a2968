"""The generated tasks `stories-qa`: stories about a small world, with questions that they answer.

People walk about, take things, drop them and hand them on. The answer to a question follows from the sentences before
it, and from its supporting sentences alone. The text is in the bAbI format. It is the same on every machine: it
depends on `Random.random()` alone.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

DEFAULT_SEED = 1503
QUESTIONS = 1_000  # per split
QUESTIONS_PER_STORY = 5
SENTENCES_PER_QUESTION = 3  # before each question
MOST_HELD = 2  # things that a person can hold
NUMBERS = ("none", "one", "two")

_PEOPLE = ("Anna", "Peter", "Clara", "Hugo")
_PLACES = ("garden", "kitchen", "library", "cellar", "barn", "office")
_THINGS = ("ball", "lamp", "key", "letter")
_GO = ("went", "walked", "returned")
_TAKE = ("took", "found")
_DROP = ("dropped", "left")
_GIVE = ("gave", "handed")

Option = TypeVar("Option")
Answer = tuple[str, str, tuple[int, ...]]  # question, answer, numbers of the supporting sentences


@dataclass(kw_only=True)
class _Thing:
    """Where a thing is, and the numbers of the sentences that say so."""

    holder: str | None
    place: str | None
    sentences: tuple[int, ...]


@dataclass(kw_only=True)
class _World:
    """The state of a story, as its sentences have told it. Sentence numbers are line numbers of the story."""

    rng: random.Random
    acts: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)  # person -> place, sentence that says so
    things: dict[str, _Thing] = field(default_factory=dict)
    hands: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # person -> thing that the person holds or held -> sentence

    def pick(self, options: Sequence[Option]) -> Option:
        """A random option, all with equal probability."""
        return options[int(self.rng.random() * len(options))]

    def add_sentence(self, sentence: str) -> int:
        """Add a sentence and return its number."""
        self.lines.append(sentence)
        return len(self.lines)

    def held(self, person: str) -> list[str]:
        """The things that a person holds, the one held longest first."""
        mine = [name for name, thing in self.things.items() if thing.holder == person]
        return sorted(mine, key=lambda name: self.things[name].sentences)

    def add_act(self) -> None:
        """Add the next sentence: a random person goes somewhere at first, and later does anything possible."""
        person = self.pick(_PEOPLE)
        options = [act for act in self.acts if person in self.places and _POSSIBLE[act](self, person)]
        act = self.pick(options) if options else "go"
        _ACTS[act](self, person)


def _within_reach(world: _World, person: str) -> list[str]:
    """Things that are new to the story, and things that lie where the person is."""
    here = world.places[person][0]
    if len(world.held(person)) == MOST_HELD:
        return []
    return [name for name in _THINGS if name not in world.things or world.things[name].place == here]


def _company(world: _World, person: str) -> list[str]:
    """Other people at the same place who can hold one more thing."""
    here = world.places[person][0]
    others = [other for other, (place, _) in world.places.items() if place == here and other != person]
    return [other for other in others if len(world.held(other)) < MOST_HELD]


def _go(world: _World, person: str) -> None:
    here = world.places.get(person, ("", 0))[0]
    place = world.pick([place for place in _PLACES if place != here])
    world.places[person] = (place, world.add_sentence(f"{person} {world.pick(_GO)} to the {place}."))


def _take(world: _World, person: str) -> None:
    thing = world.pick(_within_reach(world, person))
    number = world.add_sentence(f"{person} {world.pick(_TAKE)} the {thing}.")
    world.things[thing] = _Thing(holder=person, place=None, sentences=(number,))
    world.hands.setdefault(person, {})[thing] = number


def _drop(world: _World, person: str) -> None:
    thing = world.pick(world.held(person))
    place, arrival = world.places[person]
    number = world.add_sentence(f"{person} {world.pick(_DROP)} the {thing}.")
    world.things[thing] = _Thing(holder=None, place=place, sentences=(number, arrival))
    world.hands[person][thing] = number


def _give(world: _World, person: str) -> None:
    thing, other = world.pick(world.held(person)), world.pick(_company(world, person))
    number = world.add_sentence(f"{person} {world.pick(_GIVE)} the {thing} to {other}.")
    world.things[thing] = _Thing(holder=other, place=None, sentences=(number,))
    for one in (person, other):
        world.hands.setdefault(one, {})[thing] = number


_ACTS: dict[str, Callable[[_World, str], None]] = {"go": _go, "take": _take, "drop": _drop, "give": _give}
_POSSIBLE: dict[str, Callable[[_World, str], bool]] = {
    "go": lambda world, person: True,
    "take": lambda world, person: bool(_within_reach(world, person)),
    "drop": lambda world, person: bool(world.held(person)),
    "give": lambda world, person: bool(world.held(person) and _company(world, person)),
}


def _where_is_somebody(world: _World) -> Answer:
    person = world.pick(list(world.places))
    place, support = world.places[person]
    return f"Where is {person}?", place, (support,)


def _where_is_something(world: _World) -> Answer:
    name = world.pick(list(world.things))
    thing = world.things[name]
    if thing.holder is None:
        return f"Where is the {name}?", str(thing.place), thing.sentences
    place, arrival = world.places[thing.holder]
    return f"Where is the {name}?", place, (*thing.sentences, arrival)


def _who_has_something(world: _World) -> Answer:
    name = world.pick(list(world.things))
    thing = world.things[name]
    return f"Who has the {name}?", (thing.holder or "nobody").lower(), thing.sentences[:1]


def _is_somebody_there(world: _World) -> Answer:
    person = world.pick(list(world.places))
    place, support = world.places[person]
    if world.rng.random() < 0.5:
        return f"Is {person} in the {place}?", "yes", (support,)
    other = world.pick([other for other in _PLACES if other != place])
    return f"Is {person} in the {other}?", "no", (support,)


def _how_many_things(world: _World) -> Answer:
    person = world.pick(list(world.hands))
    support = tuple(world.hands[person].values())
    return f"How many things does {person} hold?", NUMBERS[len(world.held(person))], support


def _which_things(world: _World) -> Answer:
    person = world.pick(list(world.hands))
    support = tuple(world.hands[person].values())
    return f"What does {person} hold?", ",".join(world.held(person)) or "nothing", support


_MOVES, _ALL = ("go",), ("go", "go", "take", "take", "drop", "give")
_TASKS: dict[str, tuple[tuple[str, ...], Callable[[_World], Answer]]] = {  # task -> acts of its stories, question
    "where is somebody": (_MOVES, _where_is_somebody),
    "where is something": (_ALL, _where_is_something),
    "who has something": (_ALL, _who_has_something),
    "yes/no questions": (_MOVES, _is_somebody_there),
    "counting": (_ALL, _how_many_things),
    "lists": (_ALL, _which_things),
}
TASKS = tuple(_TASKS)


def _story(rng: random.Random, task: str) -> Iterator[str]:
    """The numbered lines of a story with QUESTIONS_PER_STORY questions."""
    acts, ask = _TASKS[task]
    world = _World(rng=rng, acts=acts)
    for _ in range(QUESTIONS_PER_STORY):
        for _ in range(SENTENCES_PER_QUESTION):
            world.add_act()
        while acts == _ALL and not world.things:
            world.add_act()
        question, answer, support = ask(world)
        world.add_sentence(f"{question}\t{answer}\t{' '.join(map(str, sorted(support)))}")
    return (f"{number} {line}" for number, line in enumerate(world.lines, 1))


def generate_questions(*, seed: int = DEFAULT_SEED, questions: int = QUESTIONS) -> dict[str, list[str]]:
    """Lines in the bAbI format by file name, `qa1_where-is-somebody_train.txt`: a train and a test file per task.

    A file depends on the seed and its name alone. `questions` must be a multiple of QUESTIONS_PER_STORY.
    """
    files: dict[str, list[str]] = {}
    for number, task in enumerate(TASKS, 1):
        for split in ("train", "test"):
            name = f"qa{number}_{task.replace(' ', '-').replace('/', '-')}_{split}.txt"
            digest = hashlib.sha256(f"stories-qa/{seed}/{name}".encode()).digest()
            rng = random.Random(int.from_bytes(digest))
            files[name] = [line for _ in range(questions // QUESTIONS_PER_STORY) for line in _story(rng, task)]
    return files
