"""Lines of text about perplexities and the tokens that they count."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from memlm.config.data import UNITS
from memlm.format import shown

if TYPE_CHECKING:
    from memlm.config.run import Config
    from memlm.data.dataset import TextDataset
    from memlm.evaluation.passport import Passport


SCORED_SPLITS = ("valid", "test")  # the splits that a finished run is scored on


def perplexity_in_words(result: "Passport") -> tuple[str, str]:
    """Two phrases: the perplexity, and the counts that it is computed from.

    If tokens are parts of words, the first has the perplexity per word, which is comparable, the perplexity per token,
    and bits per character.
    """
    unit = UNITS[result["tokenizer"]]
    if unit == "word":
        figures = f"perplexity {shown(result['perplexity'])}{_floor(result['floor_perplexity'])}"
        return figures, f"{result['tokens']:,} tokens, {_unknown(result, 'unknown words')}"
    figures, counts = f"{shown(result['perplexity'])} per {unit}", [f"{result['tokens']:,} {unit}s"]
    if result["word_perplexity"] is not None:  # otherwise only a part of the text was scored, and perhaps of a word
        by_word = f"{shown(result['word_perplexity'])}{_floor(result['floor_word_perplexity'])} per word"
        figures = f"{by_word}, {figures}, {result['bits_per_character']:.3f} bits per character"
        counts = [f"{result['words']:,} words", *counts]
        counts += [f"{result['characters']:,} characters"] if unit != "character" else []
    return f"perplexity {figures}", ", ".join([*counts, _unknown(result, "unknown")])


def _unknown(result: "Passport", what: str) -> str:
    return f"{result['oov']:,} {what}" + (f" ({result['oov_share']:.2%})" if result["oov"] else "")


def data_lines(config: "Config", data: "TextDataset") -> list[str]:
    """Lines for the start of training: what a token is, if not a word, and the entropy floor, if it is known."""
    from memlm.evaluation.perplexity import perplexity

    unit, lines = UNITS[data.vocabulary.tokenizer], []
    if unit != "word":
        kind = f" ({config.data.pieces})" if unit == "piece" else ""
        lines.append(f"{len(data.vocabulary):,} {unit}s{kind}; perplexities during training are per {unit}")
    if data.floor_nats:
        floors = {split: perplexity(data.floor_nats[split], data.splits[split].words) for split in SCORED_SPLITS}
        figures = ", ".join(f"{split} {shown(floor)}" for split, floor in floors.items())
        lines.append(f"no model can be below the entropy floor: {figures}" + (" per word" if unit != "word" else ""))
    return lines


def result_lines(best_epoch: int, passports: "Mapping[str, Passport]") -> list[str]:
    """Lines for the end of training: the perplexities of the best checkpoint."""
    if all(passport["tokenizer"] == "words" for passport in passports.values()):
        figures = ", ".join(f"{split} {shown(passport['perplexity'])}" for split, passport in passports.items())
        return [f"best epoch {best_epoch}: perplexity {figures}"]
    phrases = {split: perplexity_in_words(passport) for split, passport in passports.items()}
    return [
        f"best epoch {best_epoch}:",
        *(f"{split:>5}: {text} ({counts})" for split, (text, counts) in phrases.items()),
    ]


def _floor(perplexity: float | None) -> str:
    return "" if perplexity is None else f", floor {shown(perplexity)}"
