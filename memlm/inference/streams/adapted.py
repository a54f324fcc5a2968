"""A model with cache, dynamic evaluation or mixture: one stream, and the tuning of its weights."""

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
class Adaptation:
    """Weights of the cache, of dynamic evaluation and of the mixture; `mix` has the model's own weight first."""

    cache: CacheWeights | None = None
    dynamic: DynamicWeights | None = None
    mix: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A model with its adaptation, and the models that it is mixed with (which have none)."""

    model: LanguageModel
    others: Sequence[LanguageModel] = ()
    adaptation: Adaptation = field(default_factory=Adaptation)
    rms: Sequence[Tensor] = ()  # of the model's gradients in training: for dynamic evaluation

    def stream(self) -> Stream:
        """A stream at the start of a text."""
        own = CacheStream(self.inner(), self.adaptation.cache) if self.adaptation.cache else self.inner()
        if not self.adaptation.mix:
            return own
        return MixtureStream([own, *map(ModelStream, self.others)], self.adaptation.mix)

    def inner(self) -> ModelStream:
        """The model's own stream, dynamic or not."""
        if self.adaptation.dynamic:
            return DynamicStream(self.model, self.adaptation.dynamic, self.rms)
        return ModelStream(self.model)

    def given(self, **weights: Any) -> "Adapted":
        """A copy with these weights in addition."""
        return replace(self, adaptation=replace(self.adaptation, **weights))


def tune(adapted: Adapted, valid: Tokens, *, cache: bool, dynamic: bool, report: Report) -> Adapted:
    """The model with the weights that are asked for, and those of its mixture with the others.

    Weights that are not known yet are tuned on the validation split: dynamic evaluation, then the cache over it, then
    the mixture.
    """
    known = adapted.adaptation
    if dynamic and not known.dynamic:
        adapted = adapted.given(dynamic=tune_dynamic(adapted.model, adapted.rms, valid, report))
    if cache and not known.cache:
        adapted = adapted.given(cache=tune_cache(adapted.inner(), valid, report))
    if adapted.others and not known.mix:
        streams = [adapted.stream(), *map(ModelStream, adapted.others)]
        adapted = adapted.given(mix=tune_mixture(streams, valid, report))
    return adapted
