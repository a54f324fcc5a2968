"""Perplexities in words: what they are of, and what they rest on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from memlm.config.data import UNITS
from memlm.format import shown

if TYPE_CHECKING:
    from memlm.config.run import Config
    from memlm.data.dataset import TextDataset
    from memlm.evaluation.passport import Passport


SCORED = ("valid", "test")  # the splits that a finished run has figures of


def in_words(result: "Passport") -> tuple[str, str]:
    """Perplexity, and the counts that it rests on.

    Where a token is a part of a word: perplexity per word, which is comparable, and per token, and bits per character.
    """
    unit = UNITS[result["tokenizer"]]
    if unit == "word":
        figures = f"perplexity {shown(result['perplexity'])}{_floor(result['floor_perplexity'])}"
        return figures, f"{result['tokens']:,} tokens, {_unknown(result, 'unknown words')}"
    figures, counts = f"{shown(result['perplexity'])} per {unit}", [f"{result['tokens']:,} {unit}s"]
    if result["word_perplexity"] is not None:  # else a part of the text was scored, and maybe of a word
        by_word = f"{shown(result['word_perplexity'])}{_floor(result['floor_word_perplexity'])} per word"
        figures = f"{by_word}, {figures}, {result['bits_per_character']:.3f} bits per character"
        counts = [f"{result['words']:,} words", *counts]
        counts += [f"{result['characters']:,} characters"] if unit != "character" else []
    return f"perplexity {figures}", ", ".join([*counts, _unknown(result, "unknown")])


def _unknown(result: "Passport", what: str) -> str:
    return f"{result['oov']:,} {what}" + (f" ({result['oov_share']:.2%})" if result["oov"] else "")


def about_text(config: "Config", data: "TextDataset") -> list[str]:
    """Lines that say what the tokens of a run are, where they are no words, and the entropy floor where known."""
    from memlm.evaluation.perplexity import perplexity

    unit, lines = UNITS[data.vocabulary.tokenizer], []
    if unit != "word":
        kind = f" ({config.data.pieces})" if unit == "piece" else ""
        lines.append(f"{len(data.vocabulary):,} {unit}s{kind}; until the end perplexities are per {unit}")
    if data.floor_nats:
        floors = {split: perplexity(data.floor_nats[split], data.splits[split].words) for split in SCORED}
        said = ", ".join(f"{split} {shown(floor)}" for split, floor in floors.items())
        lines.append(f"no model can be below the entropy floor: {said}" + (" per word" if unit != "word" else ""))
    return lines


def results(best_epoch: int, passports: "Mapping[str, Passport]") -> list[str]:
    """Lines at the end of a training: the figures of the best state."""
    if all(made["tokenizer"] == "words" for made in passports.values()):
        said = ", ".join(f"{split} {shown(made['perplexity'])}" for split, made in passports.items())
        return [f"best epoch {best_epoch}: perplexity {said}"]
    told = {split: in_words(made) for split, made in passports.items()}
    return [f"best epoch {best_epoch}:", *(f"{split:>5}: {said} ({counts})" for split, (said, counts) in told.items())]


def _floor(perplexity: float | None) -> str:
    return "" if perplexity is None else f", floor {shown(perplexity)}"
