"""Compare runs side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import perplexity
from memlm.evaluation.plots.curves import Curve, draw
from memlm.evaluation.records import EVALUATIONS, best_nats, best_passport
from memlm.experiments import bootstrap
from memlm.experiments.bootstrap import Difference
from memlm.inference.load import load_tasks
from memlm.inference.questions import PROTOCOL
from memlm.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SPLITS = ("valid", "test")
# Of scores of the exact protocol it is enough that they are of the same text.
MUST_AGREE = ("dataset", "protocol", "tokenizer", "vocabulary_sha256", "data_sha256", "tokens")
BEFORE_PASSPORTS = {"tokenizer": "words"}  # what an evaluation that does not say was made with


def compare_texts(paths: Sequence[Path], *, protocol: str = "exact") -> list[dict[str, Any]]:
    """A row a run, of the figures of its best checkpoint; refused if they are not of the same text.

    Keys: run, model, parameters, tokenizer, pieces, vocabulary_size, epochs, seconds, dataset, protocol; and of valid
    and of test, as valid_tokens: perplexity, word_perplexity, bits_per_character, tokens, words, characters, oov,
    floor. What the evaluation of an earlier memlm lacks is None.
    """
    runs = [RunFolder.open(path) for path in paths]
    scores = [{split: best_passport(run, split, protocol) for split in SPLITS} for run in runs]
    for run, score in zip(runs[1:], scores[1:], strict=True):
        for split in score:
            _refuse_if_different(runs[0], scores[0][split], run, score[split])
    return [_row(run, score) for run, score in zip(runs, scores, strict=True)]


def warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What speaks against the comparison of some rows: that is `<unk>` to one run what another one has to predict."""
    return [
        f"{row['run']} scores {row[key]:,} tokens of {split} as <unk>, {least['run']} only {least[key]:,}: to predict "
        f"<unk> is easier than to predict a word"
        for split, key in ((split, f"{split}_oov") for split in SPLITS)
        if all(row[key] is not None for row in rows)
        for least in [min(rows, key=lambda row: int(row[key]))]
        for row in rows
        if row[key] > least[key]
    ]


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
    by_word = any(row["tokenizer"] != "words" for row in rows)
    title = f"Validation perplexity {'a word ' if by_word else ''}on {Path(rows[0]['dataset']).name}"
    try:
        curves = [
            Curve(
                run=row["run"],
                perplexity=row["valid_word_perplexity"],
                history=[_by_word(line, row) for line in RunFolder.open(path).metrics()],
            )
            for path, row in zip(paths, rows, strict=True)
        ]
        return draw(curves, title=title, floor=rows[0]["valid_floor"])
    except (KeyError, TypeError):
        raise MemlmError("can't draw the runs: a metrics.jsonl lacks a figure") from None


def _by_word(line: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics with perplexities a word; of training by as many tokens a word as validation has."""
    tokens, words = row["valid_tokens"], row["valid_words"]
    keys = [key for key in ("train_perplexity", "valid_perplexity") if line[key] is not None and tokens != words]
    return dict(line) | {key: perplexity(tokens * math.log(line[key]), words) for key in keys}


def _row(run: RunFolder, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    history = run.metrics()
    try:
        return {
            "run": str(run.path),
            "model": scores["test"]["label"],
            "parameters": scores["test"]["parameters"],
            "tokenizer": scores["test"].get("tokenizer", "words"),
            "pieces": _pieces(scores["test"]),
            "vocabulary_size": scores["test"].get("vocabulary_size"),
            **{f"{split}_{key}": value for split, score in scores.items() for key, value in _figures(score).items()},
            "epochs": len(history),
            "seconds": sum(epoch["seconds"] for epoch in history),
            "dataset": scores["test"]["dataset"],
            "protocol": scores["test"]["protocol"],
        }
    except (KeyError, TypeError):
        raise MemlmError(f"{run.path} is damaged: {EVALUATIONS} or metrics.jsonl lacks a figure") from None


def _pieces(score: dict[str, Any]) -> str | None:
    """How pieces were learnt; None where tokens are none."""
    return score["data"].get("pieces") if score.get("tokenizer") == "sentencepiece" else None


def _figures(score: dict[str, Any]) -> dict[str, Any]:
    """Of a split. An evaluation that does not say how many words there are is of words alone.

    A perplexity that overflowed is null in the file.
    """
    words = score.get("words", score["tokens"])
    if words is None:
        raise MemlmError(f"protocol {score['protocol']} gives parts of words no perplexity a word: compare by exact")
    by_token, by_word = score["perplexity"], score.get("word_perplexity", score["perplexity"])
    return {
        "perplexity": math.inf if by_token is None else by_token,
        "word_perplexity": math.inf if by_word is None else by_word,
        "bits_per_character": score.get("bits_per_character"),
        "tokens": score["tokens"],
        "words": words,
        "characters": score.get("characters"),
        "oov": score.get("oov"),
        "floor": score.get("floor_word_perplexity", score.get("floor_perplexity")),
    }


def _refuse_if_different(one: RunFolder, a: dict[str, Any], other: RunFolder, b: dict[str, Any]) -> None:
    texts = [score.get("text_sha256") for score in (a, b)]
    known = None not in texts
    small = [score.get("data", {}).get("lowercase", False) for score in (a, b)]
    if small[0] != small[1]:
        raise MemlmError(f"{one.path} and {other.path} can't be compared: one of them has read small letters alone")
    if known and a.get("protocol") == b.get("protocol") == "exact" and texts[0] == texts[1]:
        return
    names = {"vocabulary_sha256": "vocabulary", "data_sha256": "text", "tokens": "number of scored tokens"}
    for key in MUST_AGREE:
        one_value, other_value = (score.get(key, BEFORE_PASSPORTS.get(key)) for score in (a, b))
        if one_value != other_value:
            if known and texts[0] != texts[1] and key not in ("dataset", "protocol"):
                raise MemlmError(f"{one.path} and {other.path} can't be compared: they were scored on different texts")
            values = "" if key in names else f" ({one_value}, {other_value})"
            hint = (
                "" if known else "; evaluations of this version know more of the text: run `memlm eval` of both again"
            )
            raise MemlmError(
                f"{one.path} and {other.path} can't be compared: the {names.get(key, key)} differs{values}{hint}"
            )


SAME = {"dataset": "dataset", "data_sha256": "tasks or their questions"}


def compare_questions(paths: Sequence[Path], *, protocol: str = PROTOCOL) -> list[dict[str, Any]]:
    """What `TrainedTasks.evaluate` says of each run on its test questions; refused if these are not the same.

    Neither the training questions nor the vocabulary need to be.
    """
    results = [load_tasks(path).evaluate(protocol=protocol) for path in paths]
    for path, result in zip(paths[1:], results[1:], strict=True):
        for key, what in SAME.items():
            if result[key] != results[0][key]:
                raise MemlmError(f"{paths[0]} and {path} can't be compared: the {what} differ")
    return results
