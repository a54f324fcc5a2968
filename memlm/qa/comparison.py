"""Runs of question answering side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memlm.errors import MemlmError
from memlm.qa.trained import PROTOCOL, load_answerer

SAME = {"dataset": "dataset", "data_sha256": "tasks or their questions"}


def compare(paths: Sequence[Path], *, protocol: str = PROTOCOL) -> list[dict[str, Any]]:
    """What `TrainedTasks.evaluate` says of each run on its test questions; refused if these are not the same.

    Neither the training questions nor the vocabulary need to be.
    """
    results = [load_answerer(path).evaluate(protocol=protocol) for path in paths]
    for path, result in zip(paths[1:], results[1:], strict=True):
        for key, what in SAME.items():
            if result[key] != results[0][key]:
                raise MemlmError(f"{paths[0]} and {path} can't be compared: the {what} differ")
    return results
