"""A model in its wrappers, mixed with others: from trained weights to one stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from memlm.data.corpus.reading import Tokens
from memlm.inference.streams.cache import CacheStream, CacheWeights
from memlm.inference.streams.dynamic import DynamicStream, DynamicWeights
from memlm.inference.streams.mixture import MixtureStream
from memlm.inference.streams.stream import ModelStream, Stream
from memlm.inference.streams.tuning import Report, tune_cache, tune_dynamic, tune_mixture
from memlm.models.base import LanguageModel


@dataclass(frozen=True, kw_only=True)
class Wrappers:
    """What a model wears, with the weights; `mix` holds those of the mixture, the model's own first."""

    cache: CacheWeights | None = None
    dynamic: DynamicWeights | None = None
    mix: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Worn:
    """A model, what it wears, and the models that it is mixed with (which wear nothing)."""

    model: LanguageModel
    others: Sequence[LanguageModel] = ()
    wrappers: Wrappers = field(default_factory=Wrappers)
    rms: Sequence[Tensor] = ()  # of the model's gradients in training: for dynamic evaluation

    def stream(self) -> Stream:
        """A stream at the start of a text."""
        own = CacheStream(self.inner(), self.wrappers.cache) if self.wrappers.cache else self.inner()
        if not self.wrappers.mix:
            return own
        return MixtureStream([own, *map(ModelStream, self.others)], self.wrappers.mix)

    def inner(self) -> ModelStream:
        """The model's own stream, dynamic or not."""
        if self.wrappers.dynamic:
            return DynamicStream(self.model, self.wrappers.dynamic, self.rms)
        return ModelStream(self.model)

    def given(self, **weights: Any) -> "Worn":
        """A copy with these wrappers in addition."""
        return replace(self, wrappers=replace(self.wrappers, **weights))


def tune(worn: Worn, valid: Tokens, *, cache: bool, dynamic: bool, report: Report) -> Worn:
    """The model with the weights of the wrappers asked for, and of its mixture with the others.

    Those that are not known yet are tuned on the validation split, one after the other, the innermost wrapper first.
    """
    known = worn.wrappers
    if dynamic and not known.dynamic:
        worn = worn.given(dynamic=tune_dynamic(worn.model, worn.rms, valid, report))
    if cache and not known.cache:
        worn = worn.given(cache=tune_cache(worn.inner(), valid, report))
    if worn.others and not known.mix:
        worn = worn.given(mix=tune_mixture([worn.stream(), *map(ModelStream, worn.others)], valid, report))
    return worn
