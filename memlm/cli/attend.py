"""`memlm attend`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option
from memlm.cli.show import heat
from memlm.cli.show.plots import plot_options
from memlm.cli.show.progress import progress_bar
from memlm.config.data import UNITS
from memlm.errors import MemlmError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlm.evaluation.attention import Attention
    from memlm.inference.text import TrainedModel

LIKELIEST = 5  # next words below the map
WORDS_BEFORE = 8  # words before the predicted one, above the map
MEANING = (
    "The weights of a hop add up to 1. Shades are relative to its largest weight. Weights below 0.005 are hidden."
)


@click.command("attend")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--text", help="the text  [default: standard input]")
@click.option(
    "--word",
    help="show the predictions of this word of the text, or of its first part  [default: of the word after the text]",
)
@click.option("--all", "every", is_flag=True, help="show the prediction of each word of the text")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="past words that are shown alone, not in groups",
)
@click.option("--average", is_flag=True, help="mean over a split, by slot of the memory: the paper's Figure 3")
@click.option("--split", help="split for --average: train, valid or test  [default: valid]")
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object, with all weights")
@plot_options("draw a heat map")
def command(
    run: Path,
    checkpoint: str,
    device: str,
    as_json: bool,
    plot: Path | None,
    overwrite: bool,
    average: bool,
    split: str | None,
    **text_options: Any,
) -> None:
    """Show which past words each hop attends to when it predicts the word after a text.

    \b
    memlm attend RUN --text "the company said it"                 the next word
    memlm attend RUN --text "the company said it" --word said     each time that "said" is predicted
    memlm attend RUN --average --plot figure3.svg                 by slot of the memory
    """
    from memlm.evaluation.plots import pictures
    from memlm.inference.load import load_text

    given = {name for name in ("text", "word", "every") if text_options[name] not in (None, False)}
    if average and given:
        raise MemlmError("--average is over a split: it can't be used with --text, --word or --all")
    if {"word", "every"} <= given:
        raise MemlmError("--word and --all can't be used together: --all shows every word")
    if split is not None and not average:
        raise MemlmError("--split can only be used with --average")
    if plot is not None:
        pictures.check_file(plot, overwrite=overwrite)
    model = load_text(run, checkpoint=checkpoint, device=device)
    config = model.config
    facts = {"run": str(run), "model": config.model.label, "dataset": config.dataset, "checkpoint": checkpoint}
    if average:
        _average(model, split or "valid", facts, as_json=as_json, plot=plot)
    else:
        _text(model, facts, as_json=as_json, plot=plot, **text_options)


def _text(
    model: "TrainedModel",
    facts: dict[str, Any],
    *,
    text: str | None,
    word: str | None,
    every: bool,
    top: int,
    as_json: bool,
    plot: Path | None,
) -> None:
    from memlm.evaluation import attention
    from memlm.evaluation.plots import pictures

    if text is None:
        text = _standard_input()
    tokens, starts = model.tokenize(text)
    if word is None:
        places = list(range(len(tokens) + 1)) if every else [len(tokens)]
    else:
        words = zip(starts, attention.split_words(text), strict=True)
        places = [place for place, other in words if other == word]
        if not places:
            raise MemlmError(f"the text has no word {word!r}")
    attended = model.attend(text, targets=places)
    if plot is not None:
        pictures.save(_picture(attended, top, _name(model)), plot)
    if as_json:
        click.echo(jsontext.dumps(facts | attended.to_dict()))
    elif every:
        click.echo(f"{_name(model)}: the {attended.unit} that each hop attends to most, and its weight")
        heat.show_overview(attended)
    else:
        _print_maps(model, attended, text, top)


def _standard_input() -> str:
    """The text on standard input, without the line break at its end."""
    from memlm.inference.scoring import read_lines

    if sys.stdin.isatty():
        raise MemlmError("there is no text: give --text, or write the text to standard input")
    return "".join(read_lines(sys.stdin.buffer, "standard input")).removesuffix("\n")


def _print_maps(model: "TrainedModel", attended: "Attention", text: str, top: int) -> None:
    for t, place in enumerate(attended.targets):
        between = " " if model.vocabulary.is_of_words else ""
        before = between.join(attended.words[max(0, place - WORDS_BEFORE) : place])
        dots = "... " if place > WORDS_BEFORE else ""
        click.echo(f"{_name(model)}: what each hop attends to for the {attended.unit} after: {dots}{before}")
        heat.show_words(attended, t, top)
    click.echo(MEANING)
    if attended.targets == [len(attended.words)]:
        likeliest = model.next_word(text).top(LIKELIEST)
        click.echo("Likeliest: " + ", ".join(f"{word} {p:.3f}" for word, p in likeliest))


def _picture(attended: "Attention", top: int, name: str) -> "Figure":
    import numpy as np

    from memlm.evaluation.plots import attention as pictures_attention

    predicted = [attended.label(place) for place in attended.targets]
    if len(predicted) == 1:
        pieces = attended.past_words(0, top)
        if not pieces:
            raise MemlmError(f"can't draw the attention for {predicted[0]!r}: there is no word before it")
        what = f"the next {attended.unit}" if attended.targets == [len(attended.words)] else repr(predicted[0])
        title = f"{name}: what each hop attends to for {what}"
        weights = np.stack([piece.weights for piece in pieces], axis=1)
        return pictures_attention.attention_over_words(
            [p.label for p in pieces], weights, [p.words == 1 for p in pieces], title
        )
    first, last = attended.past(0)[0], attended.targets[-1]
    weights = np.full((len(attended.weights), len(predicted), last - first), np.nan)
    for t, place in enumerate(attended.targets):
        begin, past = attended.past(t)
        weights[:, t, begin - first : place - first] = past
    words = [attended.label(place) for place in range(first, last)]
    return pictures_attention.attention_over_text(words, predicted, weights, f"{name}: what each hop attends to")


def _average(model: "TrainedModel", split: str, facts: dict[str, Any], *, as_json: bool, plot: Path | None) -> None:
    from memlm.evaluation.plots import attention as pictures_attention
    from memlm.evaluation.plots import pictures

    with progress_bar(f"reading {split}") as tick:
        result = model.average_attention(split, tick=tick)
    unit = UNITS[model.vocabulary.tokenizer]
    title = f"{_name(model)}: average attention over {result.targets:,} {unit}s of {split}"
    if plot is not None:
        pictures.save(pictures_attention.average_attention(result.weights, title), plot)
    if as_json:
        click.echo(jsontext.dumps(facts | {"split": split} | result.to_dict()))
    else:
        click.echo(title)
        heat.show_average(result.weights, unit)


def _name(model: "TrainedModel") -> str:
    """The name of the run, with its dataset and model if the name is another."""
    run, what = model.run.path.resolve().name, f"{Path(model.config.dataset).name}-{model.config.model.label}"
    return run if run == what else f"{run} ({what})"
