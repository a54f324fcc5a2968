"""The passport of an evaluation: its figures, and all facts that they depend on.

T tokens.
"""

import math
from typing import Any, TypedDict

import numpy as np

from memlm.data.corpus.reading import EncodedText
from memlm.data.dataset import data_sha256
from memlm.evaluation.perplexity import TokenNats, perplexity, scored_tokens
from memlm.format import shown
from memlm.runs.environment import Program, program

ALL_BEFORE = "all before"  # context of a model that carries state


class Facts(TypedDict):
    """Which model was evaluated on which text, and how."""

    run: str
    model: str
    label: str
    dataset: str  # a name, or the path of the file that was scored
    split: str
    protocol: str
    checkpoint: str
    step: int  # training step of the checkpoint
    parameters: int  # of the model itself, without the models that it is mixed with
    data: dict[str, Any]  # settings that turn the text into tokens
    tokenizer: str
    vocabulary_size: int
    vocabulary_sha256: str
    context: int | str  # words before the target that a prediction can see, or ALL_BEFORE
    wrappers: dict[str, Any]  # weights of cache, dynamic evaluation and mixture, by name
    dtype: str
    device: str
    seconds: float


class PassportKeys(Facts, Program):
    """The keys of a passport, with the types of their values.

    A figure is None if it is not defined: over no tokens, or over a part of a text.

    A perplexity is exp of the mean nats. `perplexity` is per token. `perplexity_without_oov` is per token, without the
    tokens that are not in the vocabulary (an `<unk>` that is written in the text is in the vocabulary).
    `word_perplexity` is per word, and the end of a line counts as a word.
    """

    tokens: int  # number of scored tokens; a token that was scored twice counts twice
    skipped: int  # tokens of the split that were not scored
    oov: int  # scored tokens that are not in the vocabulary: scored as <unk>
    oov_share: float  # oov / tokens
    words: int | None  # scored words, with one `<eos>` per line
    characters: int | None  # as EncodedText counts them, if the whole text was scored once
    nats: float
    perplexity: float
    perplexity_without_oov: float | None
    word_perplexity: float | None
    bits_per_character: float | None
    floor_perplexity: float | None  # per token, for a text whose entropy is known
    floor_word_perplexity: float | None  # the same per word
    data_sha256: str  # of the ids of the split
    text_sha256: str | None  # of the bytes of the text; does not depend on its tokens


class Passport(dict[str, Any]):
    """The figures of an evaluation and all facts that they depend on: `["perplexity"]`. See `PassportKeys`.

    >>> passport = memlm.evaluate("runs/mine", "valid")
    >>> passport["tokens"], passport["protocol"], passport["checkpoint"]
    (100, 'exact', 'best')
    >>> passport["perplexity"] > 1
    True
    """

    def __repr__(self) -> str:
        return f"<passport: {self['label']} on {self['dataset']} {self['split']}, {self._figure()}>"

    def _figure(self) -> str:
        """The main figure, for the repr."""
        how = f"protocol {self['protocol']}, checkpoint {self['checkpoint']}"
        return f"perplexity {shown(self['perplexity'])} of {self['tokens']:,} tokens, {how}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: a plain copy."""
        return dict(self)


class TaskPassport(Passport):
    """The errors of a question-answering run in percent, and all facts that they depend on: `["tasks"]["1"]`."""

    def _figure(self) -> str:
        """The main figure, for the repr."""
        return f"mean error {self['mean_error']:.1f} %, {self['failed_tasks']} of {len(self['tasks'])} tasks failed"


def make_passport(
    nats: TokenNats, text: EncodedText, facts: Facts, *, memory_size: int | None, floor_nats: float | None = None
) -> Passport:
    """The passport for the nats (T,) of the tokens of a text. `facts` has the protocol, by which the nats are summed.

    `floor_nats` is the entropy of the text, if it is known. Raises MemlmError if the protocol does not fit the text.
    """
    places = scored_tokens(len(nats), protocol=facts["protocol"], memory_size=memory_size)
    of_unknown = np.zeros(len(nats), bool)
    of_unknown[text.unknown] = True
    total, known = float(nats[places].sum()), nats[places][~of_unknown[places]]
    skipped = len(nats) - len(np.unique(places))
    whole = skipped == 0 and len(places) == len(nats)
    words_are_tokens = text.words == len(text.tokens)
    words = len(places) if words_are_tokens else text.words if whole else None
    keys = PassportKeys(
        **facts,
        tokens=len(places),
        skipped=skipped,
        oov=len(places) - len(known),
        oov_share=1 - len(known) / len(places),
        words=words,
        characters=text.characters if whole else None,
        nats=total,
        perplexity=perplexity(total, len(places)),
        perplexity_without_oov=perplexity(float(known.sum()), len(known)) if len(known) else None,
        word_perplexity=None if words is None else perplexity(total, words),
        bits_per_character=total / math.log(2) / text.characters if whole else None,
        floor_perplexity=None if floor_nats is None else perplexity(floor_nats, len(nats)),
        floor_word_perplexity=None if floor_nats is None else perplexity(floor_nats, text.words),
        data_sha256=data_sha256(text),
        text_sha256=text.text_sha256,
        **program(),
    )
    return Passport(keys)
