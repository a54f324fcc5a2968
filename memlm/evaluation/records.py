"""The evaluations in a run folder: passports in evaluations.json, nats per token and per word in scores/.

T tokens, W words.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from memlm import jsontext
from memlm.config.data import UNITS
from memlm.data.dataset import TEXT
from memlm.errors import MemlmError
from memlm.evaluation.passport import Passport, PassportKeys
from memlm.evaluation.perplexity import TokenNats
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder

EVALUATIONS = "evaluations.json"
NATS, WORD_NATS = "nats", "word_nats"  # keys in a file of scores: per token; per word, if tokens are not words
MOST_KEPT = 10_000_000  # tokens (80 MB): the nats of a longer split are not written


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The passport of a split, with -log p of each of its tokens (T,) and of each of its words (W,)."""

    passport: Passport
    nats: TokenNats
    word_nats: TokenNats


def record(run: RunFolder, evaluation: Evaluation) -> None:
    """Write an evaluation to its run folder, for `compare`. It replaces the earlier evaluation with the same key.

    The key has the split, the protocol, the checkpoint, the adaptations and the runs that are mixed in:
    "test/exact/best", "test/exact/best+cache+mix(ptb-kneser-ney-5-1f0c88a2)". A run that is mixed in has the name of
    its folder and the first digits of the sha256 of its whole path, so that runs with the same name differ. For a text
    that is not a split of a dataset, the key has the first digits of the sha256 of its content.

    The nats of each word are written under the same name, as float64; if words are not tokens, those of each token
    too. This is done only for the exact protocol (the other protocol sums the same nats in another way), and only for
    splits of at most MOST_KEPT tokens.
    """
    passport, nats, word_nats = evaluation.passport, evaluation.nats, evaluation.word_nats
    wrappers = passport["wrappers"]
    mixed = ",".join(_run_key(other["run"]) for other in wrappers.get("mix", ()))
    state = "+".join([passport["checkpoint"], *sorted(wrappers)]) + (f"({mixed})" if mixed else "")
    text_sha256 = passport["text_sha256"] if passport["split"] == TEXT else None
    split = passport["split"] if text_sha256 is None else f"{passport['split']}-{text_sha256[:16]}"
    key = f"{split}/{passport['protocol']}/{state}"
    if passport["protocol"] == "exact" and len(nats) <= MOST_KEPT:
        arrays = {NATS: nats} if len(nats) == len(word_nats) else {NATS: nats, WORD_NATS: word_nats}
        content = {name: np.ascontiguousarray(values, np.float64) for name, values in arrays.items()}
        run.write_bytes(_file(key), save(content))
    run.write_json(EVALUATIONS, run.read_json(EVALUATIONS) | {key: passport})


def _run_key(path: str) -> str:
    """A name for a run that is mixed in. No other path has the same name."""
    return f"{Path(path).name}-{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}"


def passports(run: RunFolder) -> list[dict[str, Any]]:
    """All passports of the run, the newest first. Damaged ones are left out."""
    found = [passport for passport in run.read_json(EVALUATIONS).values() if isinstance(passport, dict)]
    return sorted(found, key=lambda passport: str(passport.get("date")), reverse=True)


def best_passport(run: RunFolder, split: str, protocol: str) -> dict[str, Any]:
    """The passport of the run's best checkpoint, at its present step.

    Raises MemlmError if there is none, or if a value in it is damaged. A passport of an earlier memlm may lack keys.
    """
    found = run.read_json(EVALUATIONS).get(f"{split}/{protocol}/best")
    if isinstance(found, dict) and found.get("step") == checkpoint.step_of(run.best):
        _refuse_damaged(run, found)
        return found
    option = "" if protocol == "exact" else f" --protocol {protocol}"
    raise MemlmError(
        f"{run.path} has no {protocol} score of its best checkpoint on {split}: "
        f"run `memlm eval {run.path} --split {split}{option}`"
    )


def _refuse_damaged(run: RunFolder, passport: dict[str, Any]) -> None:
    hints = get_type_hints(PassportKeys)
    for key, value in passport.items():
        overflowed = value is None and hints.get(key) is float  # an infinite perplexity is null in the file
        of_type = key not in hints or overflowed or jsontext.is_of_type(value, hints[key])
        if not of_type or (key == "tokenizer" and value not in UNITS):
            raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} holds no valid {key}")


def best_nats(run: RunFolder, split: str) -> TokenNats:
    """-log p of each word of a split (W,) under the run's best checkpoint, from the exact evaluation.

    Raises MemlmError if they are missing, or if they do not add up to the nats in the passport.
    """
    passport = best_passport(run, split, "exact")
    try:
        tokens, total = int(passport["tokens"]), float(passport["nats"])
        words = int(passport.get("words", tokens))
    except (KeyError, TypeError, ValueError):
        raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} lacks a figure") from None
    if tokens > MOST_KEPT:
        raise MemlmError(f"{split} has more than {MOST_KEPT:,} tokens: the nats per token are not kept")
    path = run.path / _file(f"{split}/exact/best")
    again = f"run `memlm eval {run.path} --split {split}`"
    try:
        arrays = load(path.read_bytes())
        nats = arrays[NATS if words == tokens else WORD_NATS]
    except FileNotFoundError:
        raise MemlmError(f"{run.path} has no nats per token of {split}: {again}") from None
    except (OSError, SafetensorError, KeyError):
        raise MemlmError(f"{path} is damaged or can't be read: {again}") from None
    if nats.shape != (words,) or not math.isclose(float(nats.sum()), total, rel_tol=1e-9):
        raise MemlmError(f"{path} does not match the evaluation in {EVALUATIONS}: {again}")
    return nats


def _file(key: str) -> str:
    return f"scores/{key.replace('/', '-')}.safetensors"
