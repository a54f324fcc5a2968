"""The language of the stories: its lists of words."""

from collections.abc import Collection

from memlm.data.stories import language


def test_lists_do_not_share_words_where_they_meet():
    """A token must tell which list it came from wherever two lists stand at the same position."""
    meetings: tuple[tuple[Collection[str], ...], ...] = (
        (language._NOUNS, language._ADJECTIVES),
        (language._WEATHERS, language._TIMES),
        (language._ADVERBS, language._ACT_OF),
        (language._MOODS, set(language._PREPOSITIONS.values())),
        (language._NAMES, language._CONNECTIVES, ("one", "the", "meanwhile")),
    )
    for together in meetings:
        assert len({word for words in together for word in words}) == sum(len(words) for words in together)
    assert len(language._ACT_OF) == sum(len(verbs) for _, verbs, _, _ in language._ACTS.values())
