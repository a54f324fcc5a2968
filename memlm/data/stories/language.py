"""The language of the generated stories: a process that knows the probability of every next token.

People meet, move about, find, drop and hand over things. A line often depends on who is in the story, where people
are and who holds what, as earlier lines have told. A model with a memory therefore does better than one without.

The language is a coroutine. Each `yield` gives the distribution of the next token, given all earlier tokens, and
receives the token. The process sees nothing else, so no probability depends on a hidden choice. Sampling the tokens
generates a text; sending the tokens of a text scores it. If two choices begin with the same word, their probabilities
are added.

Floats are added one by one in a fixed order: the built-in `sum` rounds differently from Python 3.12 on.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from memlm.data.vocabulary.words import EOS

Shares = Mapping[str, float]  # word -> probability
Process = Generator[Shares, str, None]  # yields the distribution of a token, receives the token


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights normalised to a sum of one, in the same order."""
    total = 0.0
    for weight in weights.values():
        total += weight
    return {word: weight / total for word, weight in weights.items()}


def _even(options: Iterable[str]) -> dict[str, float]:
    """Equal shares. An option that occurs twice counts twice."""
    weights: dict[str, float] = {}
    for option in options:
        weights[option] = weights.get(option, 0.0) + 1.0
    return _shares(weights)


def _mix(*parts: tuple[float, Shares]) -> dict[str, float]:
    """A mixture of distributions. A word's probability is the sum over all parts that contain it."""
    mixed: dict[str, float] = {}
    for part, shares in parts:
        for word, share in shares.items():
            mixed[word] = mixed.get(word, 0.0) + part * share
    return mixed


def _without(shares: Shares, absent: Sequence[str]) -> dict[str, float]:
    return _shares({word: share for word, share in shares.items() if word not in absent})


def _zipf(text: str) -> dict[str, float]:
    """Shares proportional to 1 / rank, for words in the order of their ranks."""
    return _shares({word: 1.0 / rank for rank, word in enumerate(text.split(), 1)})


_NAMES = _zipf("""
    mary john sarah david anna peter susan michael emma tom laura james alice henry clara george ruth paul
    helen frank nora simon julia martin lily oliver grace edward jane victor lucy walter hannah arthur ella
    philip martha hugo ivy felix""")
_PREPOSITIONS = dict(
    pair.split(":")
    for pair in """
    garden:in kitchen:in market:at station:at park:in library:in school:at river:by church:at bridge:on
    harbour:at hall:in office:in tower:in beach:on barn:in forest:in mill:at museum:at bakery:in cellar:in
    theatre:at castle:in farm:on lake:by inn:at attic:in hospital:in pier:on meadow:in""".split()  # noqa: SIM905
)
_PLACES = _zipf(" ".join(_PREPOSITIONS))
_NOUNS = _zipf("""
    book lamp key letter basket ball lantern cup hat coat map ring box bottle coin knife apple candle flower
    umbrella bag watch picture chair clock brush rope bell mirror spoon blanket drum kettle scarf pencil
    ladder shovel violin plate shell bucket whistle hammer compass ribbon pillow feather glove button camera
    needle trumpet locket teapot puppet saddle flute broom vase kite""")
_ADJECTIVES = _zipf("""
    red small blue big green little black white long heavy brown yellow round golden silver wooden broken
    shiny dusty tiny pretty strange plain dark bright soft rusty thin thick cheap fine large rare short pink
    grey purple striped painted polished cracked faded leather copper brass paper plastic metal velvet clean
    dirty smooth rough sharp dull wet dry warm light narrow wide flat bent crooked square hollow solid
    precious worthless famous foreign royal modern spotted battered worn folded carved gilded lucky magic
    secret common pale scarlet crimson turquoise lilac beige bronze marble pearl tin steel stone bamboo straw
    muddy greasy sticky fragile sturdy massive miniature delicate peculiar splendid humble lovely hideous
    valuable homemade patched varnished weathered tattered""")
_WEATHERS = _zipf("cold sunny rainy warm windy grey quiet foggy snowy cloudy frosty stormy misty hazy")
_TIMES = _zipf("morning day evening afternoon night sunday monday saturday")
_MOODS = _zipf("""
    happy tired sad hungry angry calm worried proud bored lonely nervous thirsty sleepy cheerful afraid
    jealous puzzled grateful confused relieved hopeful restless curious anxious guilty gloomy shy excited
    disappointed content""")
_DEGREES = _zipf("very so quite rather")
_ADVERBS = _zipf("""
    quickly slowly quietly happily carefully eagerly gladly gently calmly boldly proudly secretly sadly
    nervously politely silently hastily bravely kindly cheerfully patiently wearily cautiously promptly""")
_CONNECTIVES = _zipf("then later soon afterwards next eventually")
_BACKGROUND = _zipf("waited sat worked rested")
_SURE = {word: {word: 1.0} for word in ("a", "back", "for", "from", "met", "one", "still", "the", "to", "with")}
_END = {EOS: 1.0}


@dataclass(slots=True)
class _Thing:
    noun: str
    adjective: str
    place: str  # where it lies; outdated while somebody holds it
    holder: str | None
    giver: str | None = None  # who gave it to the holder


@dataclass(slots=True)
class _World:
    """The state of a story, as its lines have told it."""

    people: dict[str, str]  # name -> place, in order of appearance
    places: list[str]  # mentioned in the story, in order
    things: list[_Thing] = field(default_factory=list)
    came_from: dict[str, str] = field(default_factory=dict)  # name -> the place before this one
    moods: dict[str, str] = field(default_factory=dict)
    lines: int = 1

    def held(self, name: str) -> list[_Thing]:
        return [thing for thing in self.things if thing.holder == name]

    def lying(self, place: str) -> list[_Thing]:
        return [thing for thing in self.things if thing.holder is None and thing.place == place]

    def company(self, name: str) -> list[str]:
        here = self.people[name]
        return [other for other, place in self.people.items() if place == here and other != name]

    def move(self, name: str, place: str) -> None:
        self.came_from[name] = self.people[name]
        self.people[name] = place
        if place not in self.places:
            self.places.append(place)


def _at(places: Shares) -> Generator[Shares, str, str]:
    """`in the garden`. Places share prepositions, so a preposition has the summed probability of its places."""
    preposition = yield _mix(*((share, {_PREPOSITIONS[place]: 1.0}) for place, share in places.items()))
    yield _SURE["the"]
    return (yield _shares({p: s for p, s in places.items() if _PREPOSITIONS[p] == preposition}))


def _maybe_at(chance: float, place: str) -> Process:
    """The end of the line; with probability `chance`, the place comes first."""
    token = yield {EOS: 1.0 - chance, _PREPOSITIONS[place]: chance}
    if token != EOS:
        yield _SURE["the"]
        yield {place: 1.0}
        yield _END


def _which(things: Sequence[_Thing]) -> Generator[Shares, str, _Thing]:
    """`lantern` or `red lantern` after `the`. A noun is unique in a story; an adjective may not be."""
    token = yield _even(word for thing in things for word in (thing.noun, thing.adjective))
    if token in _ADJECTIVES:
        token = yield _even(thing.noun for thing in things if thing.adjective == token)
    return next(thing for thing in things if thing.noun == token)


def _the(things: Sequence[_Thing]) -> Generator[Shares, str, _Thing]:
    yield _SURE["the"]
    return (yield from _which(things))


def _go(world: _World, name: str) -> Process:
    here = world.people[name]
    before = world.came_from.get(name)
    token = yield (_SURE["to"] if before is None else {"to": 0.7, "back": 0.3})
    if token == "back":
        yield _SURE["to"]
        yield _SURE["the"]
        place = yield {str(before): 1.0}
    else:
        yield _SURE["the"]
        anywhere = _without(_PLACES, [here])
        known = [place for place in world.places if place != here]
        place = yield (_mix((0.6, _even(known)), (0.4, anywhere)) if known else anywhere)
    yield _END
    world.move(name, place)


def _follow(world: _World, name: str) -> Process:
    here = world.people[name]
    other = yield _even(who for who, place in world.people.items() if place != here)
    yield _SURE["to"]
    yield _SURE["the"]
    yield {world.people[other]: 1.0}
    yield _END
    world.move(name, world.people[other])


def _find(world: _World, name: str) -> Process:
    yield _SURE["a"]
    adjective = yield _ADJECTIVES
    noun = yield _without(_NOUNS, [thing.noun for thing in world.things])
    here = world.people[name]
    yield from _maybe_at(0.3, here)
    world.things.append(_Thing(noun, adjective, here, name))


def _take(world: _World, name: str) -> Process:
    thing = yield from _the(world.lying(world.people[name]))
    token = yield {EOS: 0.7, "from": 0.3}
    if token == "from":
        yield _SURE["the"]
        yield {thing.place: 1.0}
        yield _END
    thing.holder, thing.giver = name, None


def _drop(world: _World, name: str) -> Process:
    thing = yield from _the(world.held(name))
    here = world.people[name]
    yield from _maybe_at(0.5, here)
    thing.holder, thing.giver, thing.place = None, None, here


def _give(world: _World, name: str) -> Process:
    thing = yield from _the(world.held(name))
    yield _SURE["to"]
    thing.holder = yield _even(world.company(name))
    thing.giver = name
    yield _END


def _show(world: _World, name: str) -> Process:
    yield from _the(world.held(name))
    yield _SURE["to"]
    yield _even(world.company(name))
    yield _END


def _ask(world: _World, name: str) -> Process:
    other = yield _even(who for who in world.company(name) if world.held(who))
    yield _SURE["for"]
    yield from _the(world.held(other))
    yield _END


def _gifts(world: _World, name: str) -> list[_Thing]:
    """The things that `name` got from somebody at the same place."""
    company = world.company(name)
    return [thing for thing in world.held(name) if thing.giver in company]


def _thank(world: _World, name: str) -> Process:
    gifts = _gifts(world, name)
    giver = yield _even(str(thing.giver) for thing in gifts)
    yield _SURE["for"]
    yield from _the([thing for thing in gifts if thing.giver == giver])
    yield _END


def _keep(world: _World, name: str) -> Process:
    thing = yield from _the(world.held(name))
    if thing.giver is None:
        yield _END
        return
    token = yield {EOS: 0.5, "from": 0.5}
    if token == "from":
        yield {thing.giver: 1.0}
        yield _END


def _stay(world: _World, name: str) -> Process:
    yield from _at({world.people[name]: 1.0})
    company = world.company(name)
    token = yield ({EOS: 0.7, "with": 0.3} if company else _END)
    if token == "with":
        yield _even(company)
        yield _END


def _was(world: _World, name: str) -> Process:
    yield _SURE["still"]
    here, mood = world.people[name], world.moods.get(name)
    preposition = _PREPOSITIONS[here]
    token = yield ({preposition: 1.0} if mood is None else {preposition: 0.5, mood: 0.5})
    if token == preposition:
        yield _SURE["the"]
        yield {here: 1.0}
    yield _END


def _feel(world: _World, name: str) -> Process:
    yield _DEGREES
    world.moods[name] = yield _MOODS
    yield _END


# The acts of a person: weight, verbs, whether an adverb may precede the verb, and the rest of the line.
_ACTS: dict[str, tuple[float, dict[str, float], bool, Callable[[_World, str], Process]]] = {
    "go": (3.0, _zipf("went walked ran hurried returned"), True, _go),
    "follow": (4.0, _zipf("followed chased"), True, _follow),
    "find": (7.0, _zipf("found bought discovered borrowed made"), False, _find),
    "take": (4.0, _zipf("took grabbed collected"), True, _take),
    "drop": (2.5, _zipf("dropped left hid forgot"), False, _drop),
    "give": (6.0, _zipf("gave handed passed"), True, _give),
    "show": (1.5, _zipf("showed"), True, _show),
    "ask": (3.0, _zipf("asked begged"), True, _ask),
    "thank": (4.0, _zipf("thanked"), True, _thank),
    "keep": (1.0, _zipf("kept carried"), False, _keep),
    "stay": (1.0, _zipf("stayed waited remained"), False, _stay),
    "was": (1.5, _zipf("was"), False, _was),
    "feel": (1.5, _zipf("felt looked"), False, _feel),
}
_ACT_OF = {verb: act for act, (_, verbs, _, _) in _ACTS.items() for verb in verbs}


def _possible(world: _World, name: str) -> tuple[str, ...]:
    """The acts that are possible for this person, as the key for `_verbs`."""
    company, held = world.company(name), world.held(name)
    open_to = {
        "follow": len(world.people) > 1 + len(company),
        "find": len(world.things) < 4 and len(held) < 2,
        "take": world.lying(world.people[name]),
        "drop": held,
        "give": held and company,
        "show": held and company,
        "ask": any(thing.holder in company for thing in world.things),
        "thank": _gifts(world, name),
        "keep": held,
    }
    return tuple(act for act in _ACTS if open_to.get(act, True))


@cache
def _verbs(acts: tuple[str, ...], after_adverb: bool) -> Shares:
    """The distribution of the verbs of these acts; after an adverb, only of verbs that take one.

    The verbs of an act share its weight.
    """
    weights = {
        verb: _ACTS[act][0] * share
        for act in acts
        if _ACTS[act][2] or not after_adverb
        for verb, share in _ACTS[act][1].items()
    }
    return _shares(weights) if after_adverb else _mix((0.88, _shares(weights)), (0.12, _ADVERBS))


def _deed(world: _World, name: str) -> Process:
    """The rest of a line after its subject."""
    acts = _possible(world, name)
    token = yield _verbs(acts, False)
    if token in _ADVERBS:
        token = yield _verbs(acts, True)
    yield from _ACTS[_ACT_OF[token]][3](world, name)


def _arrival(world: _World) -> Process:
    """`meanwhile susan waited in the kitchen`: the third person arrives."""
    name = yield _without(_NAMES, list(world.people))
    yield _BACKGROUND
    place = yield from _at(_without(_PLACES, list(world.people.values())))
    yield _END
    world.people[name] = place
    world.places.append(place)


def _report(world: _World) -> Process:
    """`the red lantern was with john in the garden`, after `the`: only earlier lines can predict it."""
    thing = yield from _which(world.things)
    yield {"was": 1.0}
    if thing.holder is not None:
        yield _SURE["with"]
        yield {thing.holder: 1.0}
        yield from _maybe_at(0.4, world.people[thing.holder])
        return
    preposition = _PREPOSITIONS[thing.place]
    token = yield {"still": 0.5, preposition: 0.5}
    if token == "still":
        yield {preposition: 1.0}
    yield _SURE["the"]
    yield {thing.place: 1.0}
    yield _END


def _opening() -> Generator[Shares, str, _World]:
    """`one cold morning mary met john in the garden`, after `one`: a new story, with two people at one place."""
    token = yield _mix((0.5, _WEATHERS), (0.5, _TIMES))
    if token in _WEATHERS:
        yield _TIMES
    first = yield _NAMES
    yield _SURE["met"]
    second = yield _without(_NAMES, [first])
    place = yield from _at(_PLACES)
    yield _END
    return _World(people={first: place, second: place}, places=[place])


def _first_words(world: _World) -> dict[str, float]:
    """The first word of the next line. `one` begins a new story; a story has 8 to 13 lines."""
    new_story = 0.0 if world.lines < 8 else 1.0 if world.lines >= 13 else 0.3
    if new_story == 1.0:
        return _SURE["one"]
    weights = {"one": new_story} if new_story else {}
    rest = 1.0 - new_story
    if len(world.people) < 3:
        weights["meanwhile"] = 0.25 * rest
        rest *= 0.75
    if world.things:
        weights["the"] = 0.2 * rest
        rest *= 0.8
    return _mix((1.0, weights), (0.12 * rest, _CONNECTIVES), (0.88 * rest, _even(world.people)))


def language() -> Process:
    """The process of all tokens. It never ends."""
    yield _SURE["one"]
    while True:
        world = yield from _opening()
        while (token := (yield _first_words(world))) != "one":
            if token == "meanwhile":
                yield from _arrival(world)
            elif token == "the":
                yield from _report(world)
            else:
                name = (yield _even(world.people)) if token in _CONNECTIVES else token
                yield from _deed(world, name)
            world.lines += 1
