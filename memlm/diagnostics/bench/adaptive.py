"""The adaptive softmax against the full softmax: training steps with a large vocabulary, all else the same."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.recipes import recipe
from memlm.config.training import TrainConfig
from memlm.data.corpus.reading import id_counts
from memlm.diagnostics.bench import cases
from memlm.diagnostics.bench.measure import Case
from memlm.models.layers import cutoffs

VOCABULARY, TOKENS = 44_000, 400_000  # the vocabulary has about the size of Text8's
MODELS: dict[str, LSTMConfig | MemN2NConfig] = {  # the models for Text8 in Sukhbaatar et al. 2015
    "lstm": LSTMConfig(units=500, dropout=0.0),
    "memn2n": MemN2NConfig(units=500),
}
TRAIN: dict[str, TrainConfig] = {
    "lstm": replace(recipe("lstm-100").train, precision="float32"),
    "memn2n": TrainConfig(precision="float32"),
}
_AGAINST = "with 44,000 words, adaptive softmax against full"
RATIOS = {
    "adaptive_softmax_speedup": (f"training of an LSTM, 1 layer of 500 units, {_AGAINST}", "3 x"),
    "adaptive_softmax_speedup_memn2n": (f"training of a MemN2N, 6 hops, memory 100, 500 units, {_AGAINST}", "3 x"),
}


def find_cutoffs(device: torch.device) -> dict[str, str]:
    """The cutoffs that `memlm train` would choose on this machine, by model."""
    counts = id_counts(cases.zipf_tokens(VOCABULARY, TOKENS), VOCABULARY)
    return {name: cutoffs.find(model, TRAIN[name], counts, device) for name, model in MODELS.items()}


def steps(chosen: Mapping[str, str], device: torch.device) -> dict[str, Case]:
    """A training step of each model with each softmax. `chosen` are the cutoffs by model."""
    tokens = cases.zipf_tokens(VOCABULARY, TOKENS)
    found: dict[str, Case] = {}
    for name, model in MODELS.items():
        adaptive = replace(model, softmax="adaptive", cutoffs=chosen[name])
        found[f"{name}_full"] = cases.training_step(model, TRAIN[name], tokens, VOCABULARY, device)
        found[f"{name}_adaptive"] = cases.training_step(adaptive, TRAIN[name], tokens, VOCABULARY, device)
    return found


def speedups(seconds: Mapping[str, float]) -> dict[str, float]:
    """The ratios with the keys of RATIOS, from the seconds of the steps."""
    return {
        key: seconds[f"{name}_full"] / seconds[f"{name}_adaptive"] for key, name in zip(RATIOS, MODELS, strict=True)
    }


def microseconds_per_target(seconds: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Microseconds per target of each step."""
    bars = {
        f"{kind}, {model.name}": 1e6 * seconds[f"{name}_{kind}"] / TRAIN[name].batch_size
        for name, model in MODELS.items()
        for kind in ("full", "adaptive")
    }
    return {"training, 44,000 words": bars}


def facts(seconds: Mapping[str, float], chosen: Mapping[str, str]) -> dict[str, Any]:
    """The facts behind the speedups, by model: the cutoffs, and tokens per second with each softmax."""
    return {
        name: {"cutoffs": chosen[name]}
        | {kind: TRAIN[name].batch_size / seconds[f"{name}_{kind}"] for kind in ("full", "adaptive")}
        for name in MODELS
    }
