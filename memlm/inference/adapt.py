"""Adapt a trained model at test time: cache, dynamic evaluation, mixture with other models."""

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

CACHE, DYNAMIC, MIX = "cache", "dynamic", "mix"  # keys in a passport


def adapt(
    model: TrainedModel,
    *,
    cache: bool,
    dynamic: bool,
    mix: Sequence[TrainedModel | str | Path],
    tune_again: bool,
    report: Callable[[str], object],
) -> TrainedModel:
    """The adapted model: see `TrainedModel.adapted`."""
    others = _load_others(mix, model.model.device.type)
    _check_adaptable(model, others, has_states=cache or dynamic)
    rms: Sequence[Tensor] = ()
    if dynamic:
        report("dynamic evaluation: measuring gradients on the training split")
        train = read_split(model, "train").splits["train"].tokens
        rms = gradient_rms(model.model, train, segment=DynamicWeights().segment)
    known = Adaptation() if tune_again else _recorded_weights(model, cache=cache, dynamic=dynamic, mix=others)
    adapted = Adapted(model=model.model, others=[other.model for other in others], adaptation=known, rms=rms)
    if known != Adaptation():
        report(f"using weights that were tuned before: {', '.join(passport_weights(known, others))}")
    asked = {name for name, is_asked in ((CACHE, cache), (DYNAMIC, dynamic), (MIX, others)) if is_asked}
    if passport_weights(known, others).keys() != asked:  # otherwise the dataset need not be there
        valid = read_split(model, "valid").splits["valid"].tokens
        adapted = tune(adapted, valid, cache=cache, dynamic=dynamic, report=report)
    return replace(model, adapted_model=adapted, adaptation=passport_weights(adapted.adaptation, others))


def _load_others(mix: Sequence[TrainedModel | str | Path], device: str) -> list[TrainedModel]:
    """The models to mix in. A model that is given as the path of a run is loaded on the device."""
    return [other if isinstance(other, TrainedModel) else load_text(other, device=device) for other in mix]


def _check_adaptable(model: TrainedModel, others: Sequence[TrainedModel], *, has_states: bool) -> None:
    """Raise MemlmError if the model has no hidden states but needs them, or if the models can't be mixed."""
    if has_states and not isinstance(model.model.head, TrainableHead):
        raise MemlmError(
            f"{model.run.path} is a run of {model.config.model.label}, which has no hidden states: it can have "
            f"neither a cache nor dynamic evaluation"
        )
    for other in others:
        if other.vocabulary.sha256 != model.vocabulary.sha256:
            raise MemlmError(f"{other.run.path} can't be mixed with {model.run.path}: their vocabularies differ")
        if other.model.device != model.model.device:
            raise MemlmError(
                f"{other.run.path} is on {other.model.device}, not {model.model.device}: load both on the same device"
            )


def passport_weights(adaptation: Adaptation, mix: Sequence[TrainedModel]) -> dict[str, Any]:
    """The weights by name, as a passport has them. A model in the mixture is named by its run, checkpoint and step."""
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


def _recorded_weights(model: TrainedModel, *, cache: bool, dynamic: bool, mix: Sequence[TrainedModel]) -> Adaptation:
    """The weights in the newest passports of the model's checkpoint and step.

    Dynamic evaluation comes first, then the cache over it, then the mixture. Each was tuned over those before it: so
    its weights are used only if those before it have the same weights in that passport.
    """
    state = {"checkpoint": model.checkpoint, "step": model.step}
    of_state = [found.get("wrappers") for found in passports(model.run) if state.items() <= found.items()]
    before: list[dict[str, Any]] = [tuned for tuned in of_state if isinstance(tuned, dict)]
    known = Adaptation()
    if dynamic:
        known = _first(before, lambda tuned: replace(known, dynamic=DynamicWeights(**tuned[DYNAMIC])), known)
    inner = passport_weights(known, ())
    if cache:
        over = [tuned for tuned in before if tuned.get(DYNAMIC) == inner.get(DYNAMIC)]
        known = _first(over, lambda tuned: replace(known, cache=CacheWeights(**tuned[CACHE])), known)
    inner = passport_weights(known, ())
    if mix and set(inner) == {name for name, asked in ((CACHE, cache), (DYNAMIC, dynamic)) if asked}:
        over = [tuned for tuned in before if {name: tuned[name] for name in tuned if name != MIX} == inner]
        known = _first(over, lambda tuned: replace(known, mix=_mix_weights(tuned[MIX], mix)), known)
    return known


def _first(
    before: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Adaptation], known: Adaptation
) -> Adaptation:
    """The result of `read` for the first of the passports' adaptations that it can read, or else `known`."""
    for tuned in before:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # it is missing or damaged
            return read(tuned)
    return known


def _mix_weights(others: Sequence[Mapping[str, Any]], mix: Sequence[TrainedModel]) -> tuple[float, ...]:
    """The weights of a mixture, the model's own first. Raises ValueError if the mixture is of other models."""
    if [{key: other[key] for key in other if key != "weight"} for other in others] != [_identity(m) for m in mix]:
        raise ValueError
    weights = [float(other["weight"]) for other in others]
    return max(0.0, 1 - sum(weights)), *weights
