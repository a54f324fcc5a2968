"""Compare runs side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import perplexity
from memlm.evaluation.records import EVALUATIONS, best_nats, best_passport
from memlm.experiments import bootstrap
from memlm.experiments.bootstrap import Difference, in_words
from memlm.format import shown
from memlm.inference.load import load_tasks
from memlm.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SPLITS = ("valid", "test")
# Of scores of the exact protocol it is enough that they are of the same text.
MUST_AGREE = ("dataset", "protocol", "tokenizer", "vocabulary_sha256", "data_sha256", "tokens")
BEFORE_PASSPORTS = {"tokenizer": "words"}  # what an evaluation that does not say was made with


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """Runs side by side, a row per run. The repr has a fact per line.

    `differences` has for each run, by split, its difference from the first one, or the reason why there is none; {}
    for the first. `warnings` say what speaks against the comparison. Runs of question answering have neither.
    """

    rows: Sequence[Mapping[str, Any]]
    differences: Sequence[Mapping[str, Difference | str]] = ()
    warnings: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n".join([*map(self._in_words, self.rows), *self.lines()])

    def lines(self) -> list[str]:
        """What there is to say beside the rows."""
        return []

    def to_dict(self) -> list[dict[str, Any]]:
        """For JSON: what `memlm compare --json` prints, a list of an object a run."""
        return [dict(row) for row in self.rows]

    def _in_words(self, row: Mapping[str, Any]) -> str:
        """A row's figures in a line."""
        label, errors = row["label"], f"mean error {row['mean_error']:.1f} %, {row['failed_tasks']} tasks failed"
        return f"{row['run']} ({label}) on {row['dataset']}: {errors}"


@dataclass(frozen=True, kw_only=True, repr=False)
class TextComparison(Comparison):
    """Language models on the same text, of the figures of their best checkpoints.

    Keys of a row: run, model, parameters, tokenizer, pieces, vocabulary_size, epochs, seconds, dataset, protocol; and
    of valid and of test, as valid_tokens: perplexity, word_perplexity, bits_per_character, tokens, words, characters,
    oov, floor. What the evaluation of an earlier memlm lacks is None.
    """

    def lines(self) -> list[str]:
        """The warnings and the differences, each once: the reason why there is none may be the same for all."""
        told = [
            difference if isinstance(difference, str) else in_words(difference, row["run"], self.rows[0]["run"], split)
            for row, by_split in zip(self.rows, self.differences, strict=True)
            for split, difference in by_split.items()
        ]
        return list(dict.fromkeys([*self.warnings, *told]))

    def to_dict(self) -> list[dict[str, Any]]:
        """For JSON: what `memlm compare --json` prints, a list of an object a run."""
        told = [
            {
                split: {"reason": difference} if isinstance(difference, str) else difference.to_dict()
                for split, difference in by_split.items()
            }
            for by_split in self.differences
        ]
        return [dict(row) | {"differences_from_first": each} for row, each in zip(self.rows, told, strict=True)]

    def learning_curves(self) -> "Figure":
        """Perplexity by epoch of the runs."""
        return _learning_curves(self.rows)

    def _in_words(self, row: Mapping[str, Any]) -> str:
        """A row's figures in a line."""
        figures = ", ".join(f"{split} {shown(row[f'{split}_word_perplexity'])}" for split in SPLITS)
        return f"{row['run']} ({row['model']}) on {row['dataset']}: perplexity {figures}"


def compare(*runs: str | Path, protocol: str = "exact") -> Comparison:
    """Runs side by side, by the paths of their folders, and whether each differs from the first one.

    A TextComparison of language models, whose scores are those that the end of training and `memlm eval` keep with
    the runs. Runs of question answering answer their test questions anew. Raises MemlmError where the text, the
    questions or the protocol differ, or a score is missing.

    >>> counted = memlm.train("kneser-ney", dataset="corpus", run_dir="runs/counts", quiet=True)
    >>> compared = memlm.compare("runs/mine", "runs/counts")
    >>> [row["model"] for row in compared.rows]
    ['memn2n-2x8', 'kneser-ney-5']
    """
    if not runs:
        raise MemlmError("there is nothing to compare: name one run at least")
    folders = [RunFolder.open(Path(run)) for run in runs]
    if any(folder.manifest().answers_questions for folder in folders):
        return _compare_questions([folder.path for folder in folders], protocol)
    return _compare_texts(folders, protocol)


def _compare_texts(runs: Sequence[RunFolder], protocol: str) -> TextComparison:
    scores = [{split: best_passport(run, split, protocol) for split in SPLITS} for run in runs]
    for run, score in zip(runs[1:], scores[1:], strict=True):
        for split in score:
            _refuse_if_different(runs[0], scores[0][split], run, score[split])
    rows = [_row(run, score) for run, score in zip(runs, scores, strict=True)]
    differences = [{split: _difference(run, runs[0], split, protocol) for split in SPLITS} for run in runs[1:]]
    return TextComparison(rows=rows, differences=[{}, *differences], warnings=_warnings(rows))


def _warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where one run has scored `<unk>` for what another one has to predict."""
    return [
        f"{row['run']} scores {row[key]:,} tokens of {split} as <unk>, {least['run']} only {least[key]:,}: to predict "
        f"<unk> is easier than to predict a word"
        for split, key in ((split, f"{split}_oov") for split in SPLITS)
        if all(row[key] is not None for row in rows)
        for least in [min(rows, key=lambda row: int(row[key]))]
        for row in rows
        if row[key] > least[key]
    ]


def _difference(run: RunFolder, first: RunFolder, split: str, protocol: str) -> Difference | str:
    if protocol != "exact":
        return f"differences are told of exact scores alone: protocol {protocol} counts some tokens twice"
    try:
        return bootstrap.paired_difference(best_nats(run, split), best_nats(first, split))
    except MemlmError as reason:
        return f"{reason}"


def _learning_curves(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    from memlm.evaluation.plots.curves import Curve, perplexity_curves

    by_word = any(row["tokenizer"] != "words" for row in rows)
    title = f"Validation perplexity {'per word ' if by_word else ''}on {Path(rows[0]['dataset']).name}"
    try:
        curves = [
            Curve(
                run=row["run"],
                perplexity=row["valid_word_perplexity"],
                history=[_by_word(line, row) for line in RunFolder.open(Path(row["run"])).metrics()],
            )
            for row in rows
        ]
        return perplexity_curves(curves, title=title, floor=rows[0]["valid_floor"])
    except (KeyError, TypeError):
        raise MemlmError("can't draw the runs: a metrics.jsonl lacks a figure") from None


def _by_word(line: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics with perplexities per word; of training by as many tokens per word as validation has."""
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
        raise MemlmError(f"protocol {score['protocol']} gives parts of words no perplexity per word: compare by exact")
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


def _compare_questions(paths: Sequence[Path], protocol: str) -> Comparison:
    """Refused if the test questions are not the same; neither the training questions nor the words need to be."""
    results = [load_tasks(path).evaluate(protocol=protocol) for path in paths]
    for path, result in zip(paths[1:], results[1:], strict=True):
        for key, what in SAME.items():
            if result[key] != results[0][key]:
                raise MemlmError(f"{paths[0]} and {path} can't be compared: the {what} differ")
    return Comparison(rows=results)
