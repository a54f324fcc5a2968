"""What `memlm bench` measures: the speed of this machine, as ratios that hold wherever it runs."""

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.recipes import recipe
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.diagnostics.bench import adaptive, cases, restarts
from memlm.diagnostics.bench.measure import Case, medians
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import token_nats
from memlm.models.device import choose_device
from memlm.runs.environment import environment

VOCABULARY, PTB_TOKENS = 10_000, 929_589
EVALUATED = 2_048  # tokens in the evaluation case
BATCH_SIZES = (128, 256, 512, 1024)
PRECISIONS = ("float32", "bfloat16")
MODEL, TRAIN = MemN2NConfig(), TrainConfig()
SCALES: dict[str, tuple[int, ...]] = {
    "hops": (2, 3, 4, 5, 6, 7),
    "memory_size": (25, 50, 100, 200, 400),
    "vocabulary": (10_000, 20_000, 30_000, 44_000),
    "batch_size": BATCH_SIZES,
}
RATIOS = {  # key -> what it says, and the aim on two cores
    "train_float32": ("training in float32, against the per-window formulation", "3.5 x"),
    "train_bfloat16": ("training with a bfloat16 output layer, against the same", "6 x"),
    "train_best": ("training a target at the best batch size, against the same", "7 x"),
    "eval_float32": ("evaluation, against the per-window formulation", "4 x"),
    "floor_share_float32": ("share of a float32 step in the output layer's three products", "50 %"),
    "lstm_train": ("LSTM training in float32, against plain PyTorch", "1.3 x"),
    **adaptive.RATIOS,
    **restarts.RATIOS,
    "peak_rss_mb": ("peak memory of training on a text of PTB's size, MB", "under 900"),
}


def run(*, rounds: int, device: str = "auto", tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measure everything: the keys of RATIOS, `milliseconds` of each case, `scaling`, and the `environment`.

    A case is timed `rounds` times; `tick` is called after each.
    """
    place = choose_device(device)
    tokens = cases.zipf_tokens(VOCABULARY, 200_000)
    seconds = medians(_comparisons(tokens, place), rounds=rounds, tick=tick)
    fewer = max(3, rounds // 2)
    cutoffs = adaptive.find_cutoffs(place)
    large = medians(adaptive.steps(cutoffs, place), rounds=fewer, tick=tick)
    repeated = medians(restarts.steps(MODEL, TRAIN, tokens, VOCABULARY, place), rounds=fewer, tick=tick)
    scaling = medians(_scaling(tokens, place), rounds=fewer, tick=tick)
    return {
        **_ratios(seconds),
        **adaptive.speedups(large),
        **restarts.speedups(repeated),
        "peak_rss_mb": _peak_rss_mb(),
        "microseconds_a_target": _a_target(seconds) | adaptive.a_target(large),
        "adaptive_softmax": adaptive.facts(large, cutoffs),
        "milliseconds": {name: 1e3 * value for name, value in (seconds | large | repeated).items()},
        "scaling": {
            scale: [{"value": value, "milliseconds": 1e3 * scaling[f"{scale}={value}"]} for value in values]
            for scale, values in SCALES.items()
        },
        "environment": environment() | {"device": str(place)},
    }


def turns(rounds: int) -> int:
    """How often `run` ticks."""
    comparisons = 7 + len(PRECISIONS) * len(BATCH_SIZES)
    longer = 2 * len(adaptive.MODELS) + 2 + sum(map(len, SCALES.values()))
    return comparisons * (rounds + 2) + longer * (max(3, rounds // 2) + 2)


def _comparisons(tokens: Tokens, place: torch.device) -> dict[str, Case]:
    exact = replace(TRAIN, precision="float32")
    lstm_model, lstm_train = LSTMConfig(units=100, dropout=0.0), replace(recipe("lstm-100").train, precision="float32")
    rest = (tokens, VOCABULARY, place)
    return {
        "per_window_train": cases.per_window_step(MODEL, exact, *rest),
        **{
            _trained(precision, n): cases.training_step(MODEL, _larger(replace(TRAIN, precision=precision), n), *rest)
            for precision in PRECISIONS
            for n in BATCH_SIZES
        },
        "floor_float32": cases.floor(TRAIN.batch_size, MODEL.units, VOCABULARY, place),
        "floor_float32_torch_mm": cases.floor(TRAIN.batch_size, MODEL.units, VOCABULARY, place, onednn=False),
        "per_window_eval": cases.per_window_evaluation(MODEL, tokens, VOCABULARY, TRAIN.batch_size, place),
        "eval_float32": cases.evaluation(MODEL, tokens[:EVALUATED], VOCABULARY, place),
        "plain_lstm_train": cases.plain_lstm_step(lstm_model, lstm_train, *rest),
        "lstm_train": cases.training_step(lstm_model, lstm_train, *rest),
    }


def _larger(train: TrainConfig, batch_size: int) -> TrainConfig:
    """As many places in the text a step as before, with longer chunks: a larger batch shares more words."""
    return replace(train, batch_size=batch_size, chunk_length=train.chunk_length * batch_size // train.batch_size)


def _scaling(tokens: Tokens, place: torch.device) -> dict[str, Case]:
    """A training step as one of its sizes grows."""
    found: dict[str, Case] = {}
    for hops in SCALES["hops"]:
        found[f"hops={hops}"] = cases.training_step(replace(MODEL, hops=hops), TRAIN, tokens, VOCABULARY, place)
    for size in SCALES["memory_size"]:
        model = replace(MODEL, memory_size=size)
        found[f"memory_size={size}"] = cases.training_step(model, TRAIN, tokens, VOCABULARY, place)
    for size in SCALES["vocabulary"]:
        found[f"vocabulary={size}"] = cases.training_step(MODEL, TRAIN, tokens, size, place)
    for size in SCALES["batch_size"]:
        found[f"batch_size={size}"] = cases.training_step(MODEL, _larger(TRAIN, size), tokens, VOCABULARY, place)
    return found


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    window, one = seconds["per_window_train"], seconds[_trained("float32", TRAIN.batch_size)]
    best = min(seconds[_trained(precision, size)] / size for precision in PRECISIONS for size in BATCH_SIZES)
    return {
        "train_float32": window / one,
        "train_bfloat16": window / seconds[_trained("bfloat16", TRAIN.batch_size)],
        "train_best": window / TRAIN.batch_size / best,
        "eval_float32": seconds["per_window_eval"] / TRAIN.batch_size * EVALUATED / seconds["eval_float32"],
        "floor_share_float32": seconds["floor_float32"] / one,
        "lstm_train": seconds["plain_lstm_train"] / seconds["lstm_train"],
    }


def _trained(precision: str, batch_size: int) -> str:
    """The case of a training step."""
    return f"train_{precision}_{batch_size}"


def _a_target(seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    """Microseconds a target, of the cases that do the same work in different ways."""
    targets = TRAIN.batch_size
    training = {"per window": seconds["per_window_train"] / targets}
    training |= {
        f"{precision}, {size} a step": seconds[_trained(precision, size)] / size
        for precision in PRECISIONS
        for size in BATCH_SIZES
    }
    training["floor, float32"] = seconds["floor_float32"] / targets
    scoring = {"per window": seconds["per_window_eval"] / targets, "memlm": seconds["eval_float32"] / EVALUATED}
    parts = {"training": training, "evaluation": scoring}
    return {task: {name: 1e6 * value for name, value in part.items()} for task, part in parts.items()}


def _peak_rss_mb() -> float:
    """Peak memory of a process of its own that trains."""
    command = [
        sys.executable,
        "-c",
        "import memlm.diagnostics.bench; print(memlm.diagnostics.bench.train_and_weigh())",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise MemlmError(f"the process whose memory is measured failed: {result.stderr.strip().splitlines()[-1]}")
    return float(result.stdout.splitlines()[-1])


def train_and_weigh(steps: int = 200) -> float:
    """Train on a text of PTB's size, evaluate, and return the process's peak memory in MB."""
    tokens = cases.zipf_tokens(VOCABULARY, PTB_TOKENS)
    training = cases.make_training(MODEL, TRAIN, VOCABULARY, torch.device("cpu"))
    for span in plan_epoch(TRAIN, len(tokens), 0)[:steps]:
        training.step(gather(tokens, span, training.model.context_size))
    token_nats(training.model, tokens[:EVALUATED])
    return _peak_mb()


def _peak_mb() -> float:
    """Peak memory of this process. Linux hands ru_maxrss on from the process that started it: /proc does not."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
