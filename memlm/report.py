"""Tables made from run folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memlm import checkpoint
from memlm.errors import MemlmError
from memlm.runlog import RunFolder

EVALUATIONS = "evaluations.json"
MUST_AGREE = ("dataset", "vocabulary_sha256", "protocol", "data_sha256", "tokens")


def record(run: RunFolder, result: dict[str, Any]) -> None:
    """Keep a score with its run, for `compare`; the newest one of a split, protocol and checkpoint stays."""
    key = f"{result['split']}/{result['protocol']}/{result['checkpoint']}"
    run.write_json(EVALUATIONS, run.read_json(EVALUATIONS) | {key: result})


def compare(paths: Sequence[Path], *, protocol: str = "exact") -> list[dict[str, Any]]:
    """A row a run, of the figures of its best checkpoint; refused if they can't be compared.

    Keys: run, model, parameters, valid_perplexity, test_perplexity, valid_floor, test_floor, epochs, seconds, dataset,
    protocol.
    """
    runs = [RunFolder.open(path) for path in paths]
    scores = [{split: _score(run, split, protocol) for split in ("valid", "test")} for run in runs]
    for run, score in zip(runs[1:], scores[1:], strict=True):
        for split in score:
            _refuse_if_different(runs[0], scores[0][split], run, score[split])
    return [_row(run, score) for run, score in zip(runs, scores, strict=True)]


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


def _score(run: RunFolder, split: str, protocol: str) -> dict[str, Any]:
    """The score of the run's best state as it is now: one of an earlier best state does not count."""
    found = run.read_json(EVALUATIONS).get(f"{split}/{protocol}/best")
    if isinstance(found, dict) and found.get("step") == checkpoint.step_of(run.best):
        return found
    option = "" if protocol == "exact" else f" --protocol {protocol}"
    raise MemlmError(
        f"{run.path} has no {protocol} score of its best state on {split}: "
        f"run `memlm eval {run.path} --split {split}{option}`"
    )


def _refuse_if_different(one: RunFolder, a: dict[str, Any], other: RunFolder, b: dict[str, Any]) -> None:
    names = {"vocabulary_sha256": "vocabulary", "data_sha256": "text", "tokens": "number of scored tokens"}
    for key in MUST_AGREE:
        if a.get(key) != b.get(key):
            values = "" if key in names else f" ({a.get(key)}, {b.get(key)})"
            what = names.get(key, key)
            raise MemlmError(f"{one.path} and {other.path} can't be compared: the {what} differs{values}")


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
