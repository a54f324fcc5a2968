"""The evaluations that a run keeps: passports in evaluations.json, the nats of each token and word in scores/."""

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
NATS, WORD_NATS = "nats", "word_nats"  # in a file of scores: of each token, and of each word where that is another
MOST_KEPT = 10_000_000  # tokens: 80 MB; no nats of a longer split are kept


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A figure with what it rests on, and -log p of each token of the split (T,) and of each of its words (W,)."""

    passport: Passport
    nats: TokenNats
    word_nats: TokenNats


def record(run: RunFolder, evaluation: Evaluation) -> None:
    """Keep an evaluation with its run, for `compare`; the newest one of a kind stays.

    A kind is the split, protocol and checkpoint, the names of the adaptations and the runs mixed in:
    "test/exact/best", "test/exact/best+cache+mix(ptb-kneser-ney-5-1f0c88a2)". A run that is mixed in has the name of
    its folder and the first letters of the sha256 of its whole path: two runs of one name are two kinds. A text that
    stands alone is one by its content.

    The nats of each word are kept under the same name, as float64, of the exact protocol alone (the other one adds
    up the same nats in another way) and of splits of up to MOST_KEPT tokens; where words are not tokens, those of each
    token too.
    """
    passport, nats, word_nats = evaluation.passport, evaluation.nats, evaluation.word_nats
    wrappers = passport["wrappers"]
    mixed = ",".join(_run_key(other["run"]) for other in wrappers.get("mix", ()))
    state = "+".join([passport["checkpoint"], *sorted(wrappers)]) + (f"({mixed})" if mixed else "")
    alone = passport["text_sha256"] if passport["split"] == TEXT else None
    split = passport["split"] if alone is None else f"{passport['split']}-{alone[:16]}"
    key = f"{split}/{passport['protocol']}/{state}"
    if passport["protocol"] == "exact" and len(nats) <= MOST_KEPT:
        kept = {NATS: nats} if len(nats) == len(word_nats) else {NATS: nats, WORD_NATS: word_nats}
        content = {name: np.ascontiguousarray(values, np.float64) for name, values in kept.items()}
        run.write_bytes(_file(key), save(content))
    run.write_json(EVALUATIONS, run.read_json(EVALUATIONS) | {key: passport})


def _run_key(path: str) -> str:
    """The name of a run that is mixed in, which no other path has."""
    return f"{Path(path).name}-{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}"


def passports(run: RunFolder) -> list[dict[str, Any]]:
    """All that the run keeps, the newest first; what is damaged among them is left out."""
    found = [passport for passport in run.read_json(EVALUATIONS).values() if isinstance(passport, dict)]
    return sorted(found, key=lambda passport: str(passport.get("date")), reverse=True)


def best_passport(run: RunFolder, split: str, protocol: str) -> dict[str, Any]:
    """The passport of the run's best state as it is now: one of an earlier best state does not count.

    Raises MemlmError if there is none yet, or one that can't be a passport: earlier ones lack figures.
    """
    found = run.read_json(EVALUATIONS).get(f"{split}/{protocol}/best")
    if isinstance(found, dict) and found.get("step") == checkpoint.step_of(run.best):
        _refuse_damaged(run, found)
        return found
    option = "" if protocol == "exact" else f" --protocol {protocol}"
    raise MemlmError(
        f"{run.path} has no {protocol} score of its best state on {split}: "
        f"run `memlm eval {run.path} --split {split}{option}`"
    )


def _refuse_damaged(run: RunFolder, passport: dict[str, Any]) -> None:
    hints = get_type_hints(PassportKeys)
    for key, value in passport.items():
        overflowed = value is None and hints.get(key) is float
        of_type = key not in hints or overflowed or jsontext.is_of_type(value, hints[key])
        if not of_type or (key == "tokenizer" and value not in UNITS):
            raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} holds no valid {key}")


def best_nats(run: RunFolder, split: str) -> TokenNats:
    """-log p of each word of a split (W,) under the run's best state, as its exact evaluation kept them.

    Raises MemlmError if they are not there, or not those that the passport's figure was made of.
    """
    passport = best_passport(run, split, "exact")
    try:
        tokens, total = int(passport["tokens"]), float(passport["nats"])
        words = int(passport.get("words", tokens))
    except (KeyError, TypeError, ValueError):
        raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} lacks a figure") from None
    if tokens > MOST_KEPT:
        raise MemlmError(f"{split} has more than {MOST_KEPT:,} tokens: the nats of each are not kept")
    path = run.path / _file(f"{split}/exact/best")
    again = f"run `memlm eval {run.path} --split {split}`"
    try:
        kept = load(path.read_bytes())
        nats = kept[NATS if words == tokens else WORD_NATS]
    except FileNotFoundError:
        raise MemlmError(f"{run.path} keeps no nats of the tokens of {split}: {again}") from None
    except (OSError, SafetensorError, KeyError):
        raise MemlmError(f"{path} is damaged or can't be read: {again}") from None
    if nats.shape != (words,) or not math.isclose(float(nats.sum()), total, rel_tol=1e-9):
        raise MemlmError(f"{path} is not of the evaluation in {EVALUATIONS}: {again}")
    return nats


def _file(key: str) -> str:
    return f"scores/{key.replace('/', '-')}.safetensors"
