"""A trained model in wrappers at evaluation: cache, dynamic evaluation, and a mixture with other models."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from memlm.errors import MemlmError
from memlm.evaluation.records import passports
from memlm.inference.streams.adapted import Worn, Wrappers, tune
from memlm.inference.streams.cache import CacheWeights
from memlm.inference.streams.dynamic import DynamicWeights, gradient_rms
from memlm.inference.text import TrainedModel
from memlm.models.layers.head import TrainableHead

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
    if (cache or dynamic) and not isinstance(model.model.head, TrainableHead):
        raise MemlmError(f"{model.run.path} is of {model.config.model.label}, which can't wear a cache, nor learn")
    for other in mix:
        if other.vocabulary.sha256 != model.vocabulary.sha256:
            raise MemlmError(f"{other.run.path} can't be mixed with {model.run.path}: its vocabulary is another one")
        if other.model.device != model.model.device:
            raise MemlmError(
                f"{other.run.path} is on {other.model.device}, not {model.model.device}: load both on one"
            )
    rms: Sequence[Tensor] = ()
    if dynamic:
        report("dynamic evaluation: measuring gradients on the training split")
        rms = gradient_rms(model.model, model.data("train").splits["train"].tokens, segment=DynamicWeights().segment)
    known = Wrappers() if again else _tuned_before(model, cache=cache, dynamic=dynamic, mix=mix)
    worn = Worn(model=model.model, others=[other.model for other in mix], wrappers=known, rms=rms)
    if known != Wrappers():
        report(f"weights as they were tuned before: {', '.join(describe(known, mix))}")
    asked = {name for name, is_asked in ((CACHE, cache), (DYNAMIC, dynamic), (MIX, mix)) if is_asked}
    if describe(known, mix).keys() != asked:  # else a run without its dataset will do
        valid = model.data("valid").splits["valid"].tokens
        worn = tune(worn, valid, cache=cache, dynamic=dynamic, report=report)
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
    """What the newest passports of this very model know of the weights, from the innermost wrapper on.

    Weights of an outer wrapper are taken only from where it was worn over the same inner ones.
    """
    state = {"checkpoint": model.checkpoint, "step": model.step}
    of_state = [found.get("wrappers") for found in passports(model.run) if state.items() <= found.items()]
    before: list[dict[str, Any]] = [worn for worn in of_state if isinstance(worn, dict)]
    known = Wrappers()
    if dynamic:
        known = _first(before, lambda worn: replace(known, dynamic=DynamicWeights(**worn[DYNAMIC])), known)
    inner = describe(known, ())
    if cache:
        over = [worn for worn in before if worn.get(DYNAMIC) == inner.get(DYNAMIC)]
        known = _first(over, lambda worn: replace(known, cache=CacheWeights(**worn[CACHE])), known)
    inner = describe(known, ())
    if mix and set(inner) == {name for name, asked in ((CACHE, cache), (DYNAMIC, dynamic)) if asked}:
        over = [worn for worn in before if {name: worn[name] for name in worn if name != MIX} == inner]
        known = _first(over, lambda worn: replace(known, mix=_mix_weights(worn[MIX], mix)), known)
    return known


def _first(
    before: Sequence[Mapping[str, Any]], take: Callable[[Mapping[str, Any]], Wrappers], known: Wrappers
) -> Wrappers:
    """What can be taken from the first of the passports' wrappers that has it; else what is known."""
    for worn in before:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # not worn, or not to be read
            return take(worn)
    return known


def _mix_weights(others: Sequence[Mapping[str, Any]], mix: Sequence[TrainedModel]) -> tuple[float, ...]:
    """The weights of a mixture, the model's own first; ValueError if it is of other models."""
    if [{key: other[key] for key in other if key != "weight"} for other in others] != [_identity(m) for m in mix]:
        raise ValueError
    weights = [float(other["weight"]) for other in others]
    return max(0.0, 1 - sum(weights)), *weights
