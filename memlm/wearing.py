"""A trained model in wrappers at evaluation: cache, dynamic evaluation, and a mixture with other models."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from memlm.errors import MemlmError
from memlm.evaluations import passports
from memlm.models.head import SoftmaxHead
from memlm.streams import CacheWeights, DynamicWeights, Worn, Wrappers, gradient_rms, tune
from memlm.trained import TrainedModel

CACHE, DYNAMIC, MIX = "cache", "dynamic", "mix"  # names in a passport


def wear(
    model: TrainedModel,
    *,
    cache: bool = False,
    dynamic: bool = False,
    mix: Sequence[TrainedModel] = (),
    again: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> TrainedModel:
    """The model with what it is to wear, and mixed with others; all that it is asked is then answered by the whole.

    Weights are tuned on the validation split alone, or taken from an evaluation that the run keeps; tuned anew with
    `again`. `report` is told what is tried. Raises MemlmError for a model that can't wear it or be mixed.
    """
    if (cache or dynamic) and not isinstance(model.model.head, SoftmaxHead):
        raise MemlmError(f"{model.run.path} is of {model.config.model.label}, which can't wear a cache, nor learn")
    for other in mix:
        if other.vocabulary.sha256 != model.vocabulary.sha256:
            raise MemlmError(f"{other.run.path} can't be mixed with {model.run.path}: its vocabulary is another one")
    data = model.data("train", "valid") if dynamic else model.data("valid")
    segment = DynamicWeights().segment
    rms = gradient_rms(model.model, data.splits["train"].tokens, segment=segment) if dynamic else ()
    known = Wrappers() if again else _tuned_before(model, cache=cache, dynamic=dynamic, mix=mix)
    worn = Worn(model=model.model, others=[other.model for other in mix], wrappers=known, rms=rms)
    worn = tune(worn, data.splits["valid"].tokens, cache=cache, dynamic=dynamic, report=report)
    return replace(model, worn=worn, wrappers=describe(worn.wrappers, mix))


def describe(wrappers: Wrappers, mix: Sequence[TrainedModel]) -> dict[str, Any]:
    """The wrappers as a passport names them."""
    named: dict[str, Any] = {}
    if wrappers.cache:
        named[CACHE] = asdict(wrappers.cache)
    if wrappers.dynamic:
        named[DYNAMIC] = asdict(wrappers.dynamic)
    if wrappers.mix:
        others = zip(mix, wrappers.mix[1:], strict=True)
        named[MIX] = [_identity(other) | {"weight": weight} for other, weight in others]
    return named


def _identity(model: TrainedModel) -> dict[str, Any]:
    return {
        "run": str(model.run.path.resolve()),
        "label": model.config.model.label,
        "checkpoint": model.checkpoint,
        "step": model.step,
    }


def _tuned_before(model: TrainedModel, *, cache: bool, dynamic: bool, mix: Sequence[TrainedModel]) -> Wrappers:
    """What passports of this very model know of the weights; those of an inner wrapper do not depend on outer ones."""
    identities = [_identity(other) for other in mix]
    known = Wrappers()
    for passport in passports(model.run):
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # not to be read: tune anew
            worn = passport["wrappers"]
            if (passport["checkpoint"], passport["step"]) != (model.checkpoint, model.step):
                continue
            if dynamic and DYNAMIC in worn:
                known = replace(known, dynamic=DynamicWeights(**worn[DYNAMIC]))
            if (DYNAMIC in worn) != dynamic:
                continue
            if cache and CACHE in worn:
                known = replace(known, cache=CacheWeights(**worn[CACHE]))
            others = worn.get(MIX, [])
            if (CACHE in worn) == cache and [_without_weight(other) for other in others] == identities:
                weights = [float(other["weight"]) for other in others]
                known = replace(known, mix=(1 - sum(weights), *weights) if weights else ())
    return known


def _without_weight(other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in other.items() if key != "weight"}
