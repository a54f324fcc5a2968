"""The measurements of `memlm bench`: speed as ratios, which can be compared between machines."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.recipes import recipe
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.diagnostics.bench import adaptive, cases, measure, restarts
from memlm.diagnostics.bench.measure import Case, medians
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import Tick, token_nats
from memlm.models.device import choose_device
from memlm.runs.environment import environment

VOCABULARY, PTB_TOKENS = 10_000, 929_589
EVALUATED = 2_048  # number of tokens in the evaluation case
BATCH_SIZES = (128, 256, 512, 1024)
PRECISIONS = ("float32", "bfloat16")
MODEL, TRAIN = MemN2NConfig(), TrainConfig()
SCALES: dict[str, tuple[int, ...]] = {
    "hops": (2, 3, 4, 5, 6, 7),
    "memory_size": (25, 50, 100, 200, 400),
    "vocabulary": (10_000, 20_000, 30_000, 44_000),
    "batch_size": BATCH_SIZES,
}
RATIOS = {  # key -> description, aim on two cores
    "train_float32": ("training in float32, against the per-window formulation", "3.5 x"),
    "train_bfloat16": ("training with a bfloat16 output layer, against the per-window formulation", "6 x"),
    "train_best": ("training per target at the best batch size, against the per-window formulation", "7 x"),
    "eval_float32": ("evaluation, against the per-window formulation", "4 x"),
    "floor_share_float32": ("share of the output layer's three products in a float32 step", "50 %"),
    "lstm_train": ("LSTM training in float32, against plain PyTorch", "1.3 x"),
    **adaptive.RATIOS,
    **restarts.RATIOS,
    "peak_rss_mb": ("peak memory of training on a text of PTB's size, in MB", "under 900"),
}


def run(*, rounds: int, device: str = "auto", tick: Tick = lambda done, total: None) -> dict[str, Any]:
    """Measure everything.

    The result has the keys of RATIOS, `microseconds_a_target`, `adaptive_softmax`, `milliseconds` of each case,
    `scaling` and `environment`. The main cases take `rounds` turns, the others half as many. `tick(done, total)` is
    called after each turn.
    """
    on = choose_device(device)
    tokens = cases.zipf_tokens(VOCABULARY, 200_000)
    tick = measure.over_calls(tick, turns(rounds))
    seconds = medians(_comparisons(tokens, on), rounds=rounds, tick=tick)
    fewer = _fewer(rounds)
    cutoffs = adaptive.find_cutoffs(on)
    large = medians(adaptive.steps(cutoffs, on), rounds=fewer, tick=tick)
    repeated = medians(restarts.steps(MODEL, TRAIN, tokens, VOCABULARY, on), rounds=fewer, tick=tick)
    scaling = medians(_scaling(tokens, on), rounds=fewer, tick=tick)
    return {
        **_ratios(seconds),
        **adaptive.speedups(large),
        **restarts.speedups(repeated),
        "peak_rss_mb": _peak_rss_mb(),
        "microseconds_a_target": _microseconds_per_target(seconds) | adaptive.microseconds_per_target(large),
        "adaptive_softmax": adaptive.facts(large, cutoffs),
        "milliseconds": {name: 1e3 * value for name, value in (seconds | large | repeated).items()},
        "scaling": {
            scale: [{"value": value, "milliseconds": 1e3 * scaling[f"{scale}={value}"]} for value in values]
            for scale, values in SCALES.items()
        },
        "environment": environment() | {"device": str(on)},
    }


def turns(rounds: int) -> int:
    """The number of turns that `run` takes."""
    comparisons = 7 + len(PRECISIONS) * len(BATCH_SIZES)
    others = 2 * len(adaptive.MODELS) + 2 + sum(map(len, SCALES.values()))
    return measure.turns(comparisons, rounds) + measure.turns(others, _fewer(rounds))


def _fewer(rounds: int) -> int:
    """The number of rounds of the cases that only few ratios need."""
    return max(3, rounds // 2)


def _comparisons(tokens: Tokens, device: torch.device) -> dict[str, Case]:
    exact = replace(TRAIN, precision="float32")
    lstm_model, lstm_train = LSTMConfig(units=100, dropout=0.0), replace(recipe("lstm-100").train, precision="float32")
    rest = (tokens, VOCABULARY, device)
    return {
        "per_window_train": cases.per_window_step(MODEL, exact, *rest),
        **{
            _step_name(precision, n): cases.training_step(MODEL, _with_batch_size(train, n), *rest)
            for precision, train in ((precision, replace(TRAIN, precision=precision)) for precision in PRECISIONS)
            for n in BATCH_SIZES
        },
        "floor_float32": cases.floor(TRAIN.batch_size, MODEL.units, VOCABULARY, device),
        "floor_float32_torch_mm": cases.floor(TRAIN.batch_size, MODEL.units, VOCABULARY, device, onednn=False),
        "per_window_eval": cases.per_window_evaluation(MODEL, tokens, VOCABULARY, TRAIN.batch_size, device),
        "eval_float32": cases.evaluation(MODEL, tokens[:EVALUATED], VOCABULARY, device),
        "plain_lstm_train": cases.plain_lstm_step(lstm_model, lstm_train, *rest),
        "lstm_train": cases.training_step(lstm_model, lstm_train, *rest),
    }


def _with_batch_size(train: TrainConfig, batch_size: int) -> TrainConfig:
    """The settings with another batch size and as many rows: the chunks are longer, so they share more words."""
    return replace(train, batch_size=batch_size, chunk_length=train.chunk_length * batch_size // train.batch_size)


def _scaling(tokens: Tokens, device: torch.device) -> dict[str, Case]:
    """Training steps in which one size grows: the cases behind `scaling`."""
    found: dict[str, Case] = {}
    for hops in SCALES["hops"]:
        found[f"hops={hops}"] = cases.training_step(replace(MODEL, hops=hops), TRAIN, tokens, VOCABULARY, device)
    for size in SCALES["memory_size"]:
        model = replace(MODEL, memory_size=size)
        found[f"memory_size={size}"] = cases.training_step(model, TRAIN, tokens, VOCABULARY, device)
    for size in SCALES["vocabulary"]:
        found[f"vocabulary={size}"] = cases.training_step(MODEL, TRAIN, tokens, size, device)
    for size in SCALES["batch_size"]:
        train = _with_batch_size(TRAIN, size)
        found[f"batch_size={size}"] = cases.training_step(MODEL, train, tokens, VOCABULARY, device)
    return found


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    window, one = seconds["per_window_train"], seconds[_step_name("float32", TRAIN.batch_size)]
    best = min(seconds[_step_name(precision, size)] / size for precision in PRECISIONS for size in BATCH_SIZES)
    return {
        "train_float32": window / one,
        "train_bfloat16": window / seconds[_step_name("bfloat16", TRAIN.batch_size)],
        "train_best": window / TRAIN.batch_size / best,
        "eval_float32": seconds["per_window_eval"] / TRAIN.batch_size * EVALUATED / seconds["eval_float32"],
        "floor_share_float32": seconds["floor_float32"] / one,
        "lstm_train": seconds["plain_lstm_train"] / seconds["lstm_train"],
    }


def _step_name(precision: str, batch_size: int) -> str:
    """The name of the case of a training step."""
    return f"train_{precision}_{batch_size}"


def _microseconds_per_target(seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    """Microseconds per target of the cases that do the same work in different ways."""
    targets = TRAIN.batch_size
    training = {"per window": seconds["per_window_train"] / targets}
    training |= {
        f"{precision}, {size} a step": seconds[_step_name(precision, size)] / size
        for precision in PRECISIONS
        for size in BATCH_SIZES
    }
    training["floor, float32"] = seconds["floor_float32"] / targets
    scoring = {"per window": seconds["per_window_eval"] / targets, "memlm": seconds["eval_float32"] / EVALUATED}
    parts = {"training": training, "evaluation": scoring}
    return {task: {name: 1e6 * value for name, value in part.items()} for task, part in parts.items()}


def _peak_rss_mb() -> float:
    """Peak memory of training, in MB, measured in a separate process."""
    code = f"import {__name__} as bench; print(bench.peak_memory_of_training())"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise MemlmError(f"the process that measures memory failed: {result.stderr.strip().splitlines()[-1]}")
    return float(result.stdout.splitlines()[-1])


def peak_memory_of_training(steps: int = 200) -> float:
    """Train on a text of PTB's size, evaluate, and return the peak memory of this process in MB."""
    tokens = cases.zipf_tokens(VOCABULARY, PTB_TOKENS)
    training = cases.make_training(MODEL, TRAIN, VOCABULARY, torch.device("cpu"))
    for span in plan_epoch(TRAIN, len(tokens), 0)[:steps]:
        training.step(gather(tokens, span, training.model.context_size))
    token_nats(training.model, tokens[:EVALUATED])
    return _peak_mb()


def _peak_mb() -> float:
    """Peak memory of this process in MB. On Linux, ru_maxrss is inherited from the parent process, VmHWM is not."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
