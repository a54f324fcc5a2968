"""What a run comes to, without what depends on the clock: two runs that did the same have the same."""

import json
import math
from pathlib import Path
from typing import Any

TIMES = ("seconds", "tokens_per_second")


def outcome(path: Path | str) -> dict[str, Any]:
    """Bytes of the checkpoints' tensors by file, the lines of metrics.jsonl, and summary.json."""
    folder = Path(path)
    weights = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*.safetensors"))
        if file.parent.name in ("best", "last")
    }
    lines = {
        str(file.relative_to(folder)): [_timeless(line) for line in file.read_text().splitlines()]
        for file in sorted(folder.rglob("metrics.jsonl"))
    }
    assert weights
    assert lines
    return {"weights": weights, "metrics": lines, "summary": _timeless((folder / "summary.json").read_text())}


def _timeless(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return {key: value for key, value in found.items() if key not in TIMES}


def perplexities(path: Path | str) -> list[float]:
    """Of validation, by epoch."""
    lines = (Path(path) / "metrics.jsonl").read_text().splitlines()
    found = [float(json.loads(line)["valid_perplexity"]) for line in lines]
    assert all(map(math.isfinite, found))
    return found
