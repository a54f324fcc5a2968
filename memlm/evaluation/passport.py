"""The passport of an evaluation: its figures, and all that they rest on."""

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
    """What was evaluated on what, and how."""

    run: str
    model: str
    label: str
    dataset: str  # the file, where one was scored as a text of its own
    split: str
    protocol: str
    checkpoint: str
    step: int  # of training, at which the checkpoint was made
    parameters: int  # of the model itself, whatever it is mixed with
    data: dict[str, Any]  # settings by which the text became tokens
    tokenizer: str
    vocabulary_size: int
    vocabulary_sha256: str
    context: int | str  # words before it that a prediction can see, or ALL_BEFORE
    wrappers: dict[str, Any]  # weights of cache, dynamic evaluation and mixture, by name
    dtype: str
    device: str
    seconds: float


class PassportKeys(Facts, Program):
    """The keys of a passport, with the types of their values.

    A figure that can't be had is None: of no tokens, or of a part of a text.

    Perplexities are exp of the mean nats: per token; per token without those whose word the vocabulary does not hold
    (it holds an `<unk>` that stands in the text); and per word, the end of a line being one.
    """

    tokens: int  # scored, those that were scored twice counted twice
    skipped: int  # of the split, never scored
    oov: int  # scored, that the vocabulary does not hold: scored as <unk>
    oov_share: float  # of the tokens
    words: int | None  # scored, an `<eos>` a line among them
    characters: int | None  # as EncodedText counts them; of a text that was scored whole, and once
    nats: float
    perplexity: float
    perplexity_without_oov: float | None
    word_perplexity: float | None
    bits_per_character: float | None
    floor_perplexity: float | None  # of a text whose entropy is known: per token
    floor_word_perplexity: float | None  # per word
    data_sha256: str  # of the split's ids
    text_sha256: str | None  # of the text's bytes, whatever its tokens are


class Passport(dict[str, Any]):
    """The figures of an evaluation and all that they rest on, by the keys of `PassportKeys`: `["perplexity"]`.

    >>> passport = memlm.evaluate("runs/mine", "valid")
    >>> passport["tokens"], passport["protocol"], passport["checkpoint"]
    (100, 'exact', 'best')
    >>> passport["perplexity"] > 1
    True
    """

    def __repr__(self) -> str:
        return f"<passport: {self['label']} on {self['dataset']} {self['split']}, {self._figure()}>"

    def _figure(self) -> str:
        """The figure in words."""
        how = f"protocol {self['protocol']}, checkpoint {self['checkpoint']}"
        return f"perplexity {shown(self['perplexity'])} of {self['tokens']:,} tokens, {how}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: a plain copy."""
        return dict(self)


class TaskPassport(Passport):
    """The errors of a run of question answering, in percent, and all that they rest on: `["tasks"]["1"]`."""

    def _figure(self) -> str:
        """The figure in words."""
        return f"mean error {self['mean_error']:.1f} %, {self['failed_tasks']} of {len(self['tasks'])} tasks failed"


def make(
    nats: TokenNats, text: EncodedText, facts: Facts, *, memory_size: int | None, floor_nats: float | None = None
) -> Passport:
    """The passport of per-token nats (T,) of a text, whoever computed them; sums are those of the facts' protocol."""
    places = scored_tokens(len(nats), protocol=facts["protocol"], memory_size=memory_size)
    of_unknown = np.zeros(len(nats), bool)
    of_unknown[text.unknown] = True
    total, known = float(nats[places].sum()), nats[places][~of_unknown[places]]
    skipped = len(nats) - len(np.unique(places))
    whole = skipped == 0 and len(places) == len(nats)
    each_is_a_word = text.words == len(text.tokens)
    words = len(places) if each_is_a_word else text.words if whole else None
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
