"""Facts for passports, and the nats of a short text."""

from typing import Any, cast, get_type_hints

import numpy as np

from memlm.evaluation.passport import Facts

LINES = [["the", "dog", "sat"], [], ["<unk>", "on"]]  # tokens: the, dog (unknown), sat, eos, eos, <unk>, on, eos
NATS = np.array([1.0, 6.0, 2.0, 1.0, 0.5, 3.0, 2.0, 0.5])


def facts(protocol: str = "exact", **wrappers: object) -> Facts:
    """What a passport is told of an evaluation."""
    told: dict[str, Any] = {key: kind() for key, kind in get_type_hints(Facts).items() if isinstance(kind, type)}
    told |= {"protocol": protocol, "split": "test", "tokenizer": "words", "data": {}, "context": 2}
    return cast(Facts, told | {"checkpoint": "best", "step": 1, "wrappers": wrappers})
