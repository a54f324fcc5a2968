"""A trained model with a cache, dynamic evaluation, or a mixture with other models."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from memlm.errors import MemlmError
from memlm.evaluation.records import passports
from memlm.inference.evaluation import read_split
from memlm.inference.load import load_text
from memlm.inference.streams.adapted import Adaptation, Adapted, tune
from memlm.inference.streams.cache import CacheWeights
from memlm.inference.streams.dynamic import DynamicWeights, gradient_rms
from memlm.inference.text import TrainedModel
from memlm.models.layers.head import TrainableHead

CACHE, DYNAMIC, MIX = "cache", "dynamic", "mix"  # names in a passport


def adapt(
    model: TrainedModel,
    *,
    cache: bool,
    dynamic: bool,
    mix: Sequence[TrainedModel | str | Path],
    again: bool,
    report: Callable[[str], object],
) -> TrainedModel:
    """What `TrainedModel.adapted` says."""
    others = _loaded(mix, model.model.device.type)
    _check(model, others, has_states=cache or dynamic)
    rms: Sequence[Tensor] = ()
    if dynamic:
        report("dynamic evaluation: measuring gradients on the training split")
        train = read_split(model, "train").splits["train"].tokens
        rms = gradient_rms(model.model, train, segment=DynamicWeights().segment)
    known = Adaptation() if again else _tuned_before(model, cache=cache, dynamic=dynamic, mix=others)
    adapted = Adapted(model=model.model, others=[other.model for other in others], adaptation=known, rms=rms)
    if known != Adaptation():
        report(f"weights as they were tuned before: {', '.join(describe(known, others))}")
    asked = {name for name, is_asked in ((CACHE, cache), (DYNAMIC, dynamic), (MIX, others)) if is_asked}
    if describe(known, others).keys() != asked:  # else a run without its dataset will do
        valid = read_split(model, "valid").splits["valid"].tokens
        adapted = tune(adapted, valid, cache=cache, dynamic=dynamic, report=report)
    return replace(model, adapted_model=adapted, adaptation=describe(adapted.adaptation, others))


def _loaded(mix: Sequence[TrainedModel | str | Path], device: str) -> list[TrainedModel]:
    """The models to mix in; those that are given as paths of runs are loaded on the device."""
    return [other if isinstance(other, TrainedModel) else load_text(other, device=device) for other in mix]


def _check(model: TrainedModel, others: Sequence[TrainedModel], *, has_states: bool) -> None:
    """Refuse a cache or dynamic evaluation of a model without hidden states, and models that can't be mixed."""
    if has_states and not isinstance(model.model.head, TrainableHead):
        raise MemlmError(
            f"{model.run.path} is of {model.config.model.label}, which has no hidden states: it can have neither a "
            f"cache nor dynamic evaluation"
        )
    for other in others:
        if other.vocabulary.sha256 != model.vocabulary.sha256:
            raise MemlmError(f"{other.run.path} can't be mixed with {model.run.path}: its vocabulary is another one")
        if other.model.device != model.model.device:
            raise MemlmError(
                f"{other.run.path} is on {other.model.device}, not {model.model.device}: load both on one"
            )


def describe(adaptation: Adaptation, mix: Sequence[TrainedModel]) -> dict[str, Any]:
    """The weights as a passport names them."""
    named: dict[str, Any] = {}
    if adaptation.cache:
        named[CACHE] = asdict(adaptation.cache)
    if adaptation.dynamic:
        named[DYNAMIC] = asdict(adaptation.dynamic)
    if adaptation.mix:
        others = zip(mix, adaptation.mix[1:], strict=True)
        named[MIX] = [_identity(other) | {"weight": weight} for other, weight in others]
    return named


def _identity(model: TrainedModel) -> dict[str, Any]:
    return {
        "run": str(model.run.path.resolve()),
        "label": model.config.model.label,
        "checkpoint": model.checkpoint,
        "step": model.step,
    }


def _tuned_before(model: TrainedModel, *, cache: bool, dynamic: bool, mix: Sequence[TrainedModel]) -> Adaptation:
    """The weights that the newest passports of this very state have: of dynamic evaluation, cache, then mixture.

    Weights of an outer one are taken only from where it was tuned over the same inner ones.
    """
    state = {"checkpoint": model.checkpoint, "step": model.step}
    of_state = [found.get("wrappers") for found in passports(model.run) if state.items() <= found.items()]
    before: list[dict[str, Any]] = [tuned for tuned in of_state if isinstance(tuned, dict)]
    known = Adaptation()
    if dynamic:
        known = _first(before, lambda tuned: replace(known, dynamic=DynamicWeights(**tuned[DYNAMIC])), known)
    inner = describe(known, ())
    if cache:
        over = [tuned for tuned in before if tuned.get(DYNAMIC) == inner.get(DYNAMIC)]
        known = _first(over, lambda tuned: replace(known, cache=CacheWeights(**tuned[CACHE])), known)
    inner = describe(known, ())
    if mix and set(inner) == {name for name, asked in ((CACHE, cache), (DYNAMIC, dynamic)) if asked}:
        over = [tuned for tuned in before if {name: tuned[name] for name in tuned if name != MIX} == inner]
        known = _first(over, lambda tuned: replace(known, mix=_mix_weights(tuned[MIX], mix)), known)
    return known


def _first(
    before: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Adaptation], known: Adaptation
) -> Adaptation:
    """What is read from the first of the passports' adaptations that has it; else what is known."""
    for tuned in before:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # it is not there, or not to be read
            return read(tuned)
    return known


def _mix_weights(others: Sequence[Mapping[str, Any]], mix: Sequence[TrainedModel]) -> tuple[float, ...]:
    """The weights of a mixture, the model's own first; ValueError if it is of other models."""
    if [{key: other[key] for key in other if key != "weight"} for other in others] != [_identity(m) for m in mix]:
        raise ValueError
    weights = [float(other["weight"]) for other in others]
    return max(0.0, 1 - sum(weights)), *weights
