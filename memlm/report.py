"""Tables made from run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memlm import bootstrap
from memlm.bootstrap import Difference
from memlm.errors import MemlmError
from memlm.evaluations import EVALUATIONS, best_nats, best_passport
from memlm.learning_curves import Curve, draw
from memlm.runlog import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("valid", "test")
MUST_AGREE = ("dataset", "tokenizer", "vocabulary_sha256", "protocol", "data_sha256", "tokens")
BEFORE_PASSPORTS = {"tokenizer": "words"}  # what an evaluation that does not say was made with


def compare(paths: Sequence[Path], *, protocol: str = "exact") -> list[dict[str, Any]]:
    """A row a run, of the figures of its best checkpoint; refused if they can't be compared.

    Keys: run, model, parameters, valid_perplexity, test_perplexity, valid_floor, test_floor, epochs, seconds, dataset,
    protocol.
    """
    runs = [RunFolder.open(path) for path in paths]
    scores = [{split: best_passport(run, split, protocol) for split in SPLITS} for run in runs]
    for run, score in zip(runs[1:], scores[1:], strict=True):
        for split in score:
            _refuse_if_different(runs[0], scores[0][split], run, score[split])
    return [_row(run, score) for run, score in zip(runs, scores, strict=True)]


def differences(paths: Sequence[Path], *, protocol: str = "exact") -> list[dict[str, Difference | str]]:
    """For each run, by split, its difference from the first one, or the reason why there is none; {} for the first."""
    first, *others = [RunFolder.open(path) for path in paths]
    return [{}, *({split: _difference(run, first, split, protocol) for split in SPLITS} for run in others)]


def _difference(run: RunFolder, first: RunFolder, split: str, protocol: str) -> Difference | str:
    if protocol != "exact":
        return f"differences are told of exact scores alone: protocol {protocol} counts some tokens twice"
    try:
        return bootstrap.paired(best_nats(run, split), best_nats(first, split))
    except MemlmError as reason:
        return f"{reason}"


def learning_curves(paths: Sequence[Path], rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Perplexity by epoch of compared runs, from their rows."""
    curves = [
        Curve(run=row["run"], perplexity=row["valid_perplexity"], history=RunFolder.open(path).metrics())
        for path, row in zip(paths, rows, strict=True)
    ]
    title = f"Validation perplexity on {Path(rows[0]['dataset']).name}"
    try:
        return draw(curves, title=title, floor=rows[0]["valid_floor"])
    except (KeyError, TypeError):
        raise MemlmError("can't draw the runs: a metrics.jsonl lacks a figure") from None


def _row(run: RunFolder, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    history = run.metrics()
    try:
        return {
            "run": str(run.path),
            "model": scores["test"]["label"],
            "parameters": scores["test"]["parameters"],
            **{f"{split}_perplexity": score["perplexity"] for split, score in scores.items()},
            **{f"{split}_floor": score.get("floor_perplexity") for split, score in scores.items()},
            "epochs": len(history),
            "seconds": sum(epoch["seconds"] for epoch in history),
            "dataset": scores["test"]["dataset"],
            "protocol": scores["test"]["protocol"],
        }
    except (KeyError, TypeError):
        raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} or metrics.jsonl lacks a figure") from None


def _refuse_if_different(one: RunFolder, a: dict[str, Any], other: RunFolder, b: dict[str, Any]) -> None:
    names = {"vocabulary_sha256": "vocabulary", "data_sha256": "text", "tokens": "number of scored tokens"}
    for key in MUST_AGREE:
        one_value, other_value = (score.get(key, BEFORE_PASSPORTS.get(key)) for score in (a, b))
        if one_value != other_value:
            values = "" if key in names else f" ({one_value}, {other_value})"
            what = names.get(key, key)
            raise MemlmError(f"{one.path} and {other.path} can't be compared: the {what} differs{values}")


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
