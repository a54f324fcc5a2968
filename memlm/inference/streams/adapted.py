"""A model with cache, dynamic evaluation and mixture as one stream, and the tuning of their weights."""

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
    """Weights of the cache, of dynamic evaluation and of the mixture. In `mix`, the model's own weight is first."""

    cache: CacheWeights | None = None
    dynamic: DynamicWeights | None = None
    mix: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A model with its adaptation, and the models that it is mixed with. Those have no adaptation."""

    model: LanguageModel
    others: Sequence[LanguageModel] = ()
    adaptation: Adaptation = field(default_factory=Adaptation)
    rms: Sequence[Tensor] = ()  # `gradient_rms` of the model, for dynamic evaluation

    def stream(self) -> Stream:
        """The stream of the combined prediction, at the start of a text."""
        own = CacheStream(self.inner_stream(), self.adaptation.cache) if self.adaptation.cache else self.inner_stream()
        if not self.adaptation.mix:
            return own
        return MixtureStream([own, *map(ModelStream, self.others)], self.adaptation.mix)

    def inner_stream(self) -> ModelStream:
        """The stream of the model alone, with dynamic evaluation if that has weights."""
        if self.adaptation.dynamic:
            return DynamicStream(self.model, self.adaptation.dynamic, self.rms)
        return ModelStream(self.model)

    def with_weights(self, **weights: Any) -> "Adapted":
        """A copy with these weights added."""
        return replace(self, adaptation=replace(self.adaptation, **weights))


def tune(adapted: Adapted, valid: Tokens, *, cache: bool, dynamic: bool, report: Report) -> Adapted:
    """The model with weights for cache and dynamic evaluation, if asked for, and for its mixture with the others.

    Weights that are still unknown are tuned on the validation split: first dynamic evaluation, then the cache over
    it, then the mixture.
    """
    known = adapted.adaptation
    if dynamic and not known.dynamic:
        adapted = adapted.with_weights(dynamic=tune_dynamic(adapted.model, adapted.rms, valid, report))
    if cache and not known.cache:
        adapted = adapted.with_weights(cache=tune_cache(adapted.inner_stream(), valid, report))
    if adapted.others and not known.mix:
        streams = [adapted.stream(), *map(ModelStream, adapted.others)]
        adapted = adapted.with_weights(mix=tune_mixture(streams, valid, report))
    return adapted
