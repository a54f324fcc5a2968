"""Compare runs side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memlm.errors import MemlmError
from memlm.evaluation.perplexity import perplexity
from memlm.evaluation.records import EVALUATIONS, best_nats, best_passport
from memlm.evaluation.wording import SCORED_SPLITS
from memlm.experiments import bootstrap
from memlm.experiments.bootstrap import Difference, in_words
from memlm.format import shown
from memlm.inference.load import load_tasks
from memlm.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Two scores must agree in these. Exact scores need only be of the same text.
MUST_AGREE = ("dataset", "protocol", "tokenizer", "vocabulary_sha256", "data_sha256", "tokens")
BEFORE_PASSPORTS = {"tokenizer": "words"}  # for evaluations that have no such key


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """Runs side by side, one row per run. The repr has one line per fact.

    `differences` has for each run, by split, its difference from the first run, or the reason why there is none. It is
    {} for the first run. `warnings` are reasons against the comparison. Question-answering runs have neither.
    """

    rows: Sequence[Mapping[str, Any]]
    differences: Sequence[Mapping[str, Difference | str]] = ()
    warnings: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n".join([*map(self._in_words, self.rows), *self.lines()])

    def lines(self) -> list[str]:
        """Lines of text beside the rows: warnings and differences."""
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
    """Language models on the same text, compared by their best checkpoints.

    Keys of a row: run, model, parameters, tokenizer, pieces, vocabulary_size, epochs, seconds, dataset, protocol; and
    with the prefix valid_ or test_: perplexity, word_perplexity, bits_per_character, tokens, words, characters, oov,
    floor. A figure that the evaluation of an earlier memlm lacks is None.
    """

    def lines(self) -> list[str]:
        """The warnings and the differences, without duplicates: several runs may have the same reason."""
        sentences = [
            difference if isinstance(difference, str) else in_words(difference, row["run"], self.rows[0]["run"], split)
            for row, by_split in zip(self.rows, self.differences, strict=True)
            for split, difference in by_split.items()
        ]
        return list(dict.fromkeys([*self.warnings, *sentences]))

    def to_dict(self) -> list[dict[str, Any]]:
        """For JSON: what `memlm compare --json` prints, a list of an object a run."""
        differences = [
            {
                split: {"reason": difference} if isinstance(difference, str) else difference.to_dict()
                for split, difference in by_split.items()
            }
            for by_split in self.differences
        ]
        return [dict(row) | {"differences_from_first": each} for row, each in zip(self.rows, differences, strict=True)]

    def learning_curves(self) -> "Figure":
        """A plot of the validation perplexity of the runs by epoch."""
        return _learning_curves(self.rows)

    def _in_words(self, row: Mapping[str, Any]) -> str:
        """A row's figures in a line."""
        figures = ", ".join(f"{split} {shown(row[f'{split}_word_perplexity'])}" for split in SCORED_SPLITS)
        return f"{row['run']} ({row['model']}) on {row['dataset']}: perplexity {figures}"


def compare(*runs: str | Path, protocol: str = "exact") -> Comparison:
    """Compare runs, given by the paths of their folders, and whether each differs from the first one.

    For language models it returns a TextComparison of the scores in the run folders, which training and `memlm eval`
    write there. Question-answering runs answer their test questions again. Raises MemlmError if the texts, the
    questions or the protocols differ, or if a score is missing.

    >>> counted = memlm.train("kneser-ney", dataset="corpus", run_dir="runs/counts", quiet=True)
    >>> compared = memlm.compare("runs/mine", "runs/counts")
    >>> [row["model"] for row in compared.rows]
    ['memn2n-2x8', 'kneser-ney-5']
    """
    if not runs:
        raise MemlmError("there is nothing to compare: give at least one run")
    folders = [RunFolder.open(Path(run)) for run in runs]
    if any(folder.manifest().answers_questions for folder in folders):
        return _compare_questions([folder.path for folder in folders], protocol)
    return _compare_texts(folders, protocol)


def _compare_texts(runs: Sequence[RunFolder], protocol: str) -> TextComparison:
    scores = [{split: best_passport(run, split, protocol) for split in SCORED_SPLITS} for run in runs]
    for run, score in zip(runs[1:], scores[1:], strict=True):
        for split in score:
            _refuse_if_different(runs[0], scores[0][split], run, score[split])
    rows = [_row(run, score) for run, score in zip(runs, scores, strict=True)]
    differences = [{split: _difference(run, runs[0], split, protocol) for split in SCORED_SPLITS} for run in runs[1:]]
    return TextComparison(rows=rows, differences=[{}, *differences], warnings=_warnings(rows))


def _warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warnings for runs that score more tokens as `<unk>` than another run."""
    return [
        f"{row['run']} scores {row[key]:,} tokens of {split} as <unk>, {least['run']} only {least[key]:,}: "
        f"<unk> is easier to predict than a word"
        for split, key in ((split, f"{split}_oov") for split in SCORED_SPLITS)
        if all(row[key] is not None for row in rows)
        for least in [min(rows, key=lambda row: int(row[key]))]
        for row in rows
        if row[key] > least[key]
    ]


def _difference(run: RunFolder, first: RunFolder, split: str, protocol: str) -> Difference | str:
    if protocol != "exact":
        return f"no differences: they need protocol exact, because protocol {protocol} counts some tokens twice"
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
        raise MemlmError("can't draw the runs: a figure is missing in a metrics.jsonl") from None


def _by_word(line: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl with perplexities per word. For train, the tokens per word are those of valid."""
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
    """The method by which pieces were learned, or None if tokens are not pieces."""
    return score["data"].get("pieces") if score.get("tokenizer") == "sentencepiece" else None


def _figures(score: dict[str, Any]) -> dict[str, Any]:
    """The figures of a split for a row. In an evaluation without a number of words, tokens are words.

    An infinite perplexity is null in the file.
    """
    words = score.get("words", score["tokens"])
    if words is None:
        raise MemlmError(
            f"protocol {score['protocol']} has no perplexity per word for parts of words: use protocol exact"
        )
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
    lowercase = [score.get("data", {}).get("lowercase", False) for score in (a, b)]
    if lowercase[0] != lowercase[1]:
        raise MemlmError(
            f"{one.path} and {other.path} can't be compared: only one of them reads the text in lower case"
        )
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
                ""
                if known
                else "; evaluations of this version record more about the text: run `memlm eval` on both again"
            )
            raise MemlmError(
                f"{one.path} and {other.path} can't be compared: the {names.get(key, key)} differs{values}{hint}"
            )


SAME = {"dataset": "dataset", "data_sha256": "tasks or their questions"}


def _compare_questions(paths: Sequence[Path], protocol: str) -> Comparison:
    """Raises MemlmError if the test questions differ. The training questions and the words may differ."""
    results = [load_tasks(path).evaluate(protocol=protocol) for path in paths]
    for path, result in zip(paths[1:], results[1:], strict=True):
        for key, what in SAME.items():
            if result[key] != results[0][key]:
                raise MemlmError(f"{paths[0]} and {path} can't be compared: the {what} differ")
    return Comparison(rows=results)
