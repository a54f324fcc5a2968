"""Heat maps of attention in the terminal, made of block characters, in colour if the terminal has it.

K hops, N memory slots.
"""

from typing import TYPE_CHECKING

import click

from memlm.cli.show import tables

if TYPE_CHECKING:
    from rich.text import Text

    from memlm.evaluation.attention import Attention, PastWords, Weights


SHADES, HEIGHTS = " ░▒▓█", " ▁▂▃▄▅▆▇█"
ASCII_SHADES, ASCII_HEIGHTS = " .:*#", " .,:;+*%#"
COLOUR = "magenta"
SHOWN = 0.005  # a smaller weight would be 0.00
BESIDE = 32  # columns of the terminal for the rest of a row of averages


def show_words(attended: "Attention", t: int, top: int) -> None:
    """Print the memory of target `t`: one row per word, oldest first, one column per hop. Groups have no shade."""
    highest, ramp = attended.past(t)[1].max(axis=1, initial=0), _ramp(SHADES, ASCII_SHADES)
    rows: list[tuple[object, ...]] = [
        (piece.label, *(_cell(piece, k, most, ramp) for k, most in enumerate(highest.tolist())))
        for piece in attended.past_words(t, top)
    ]
    rows.append((f"-> {attended.label(attended.targets[t])}", *("" for _ in highest)))
    tables.show((f"past {attended.unit}", *_hops(len(highest))), rows)


def _cell(piece: "PastWords", hop: int, highest: float, ramp: str) -> "Text":
    from rich.text import Text

    weight = float(piece.weights[hop])
    alone = piece.words == 1
    shade = _block(weight / highest, ramp) if alone and highest else " "
    figure = f"{weight:.2f}" if weight >= SHOWN else "    "
    return Text.assemble((2 * shade, COLOUR), " ", (figure, "" if alone else "dim"))


def _hops(count: int) -> list[str]:
    return [f"hop {k + 1}" for k in range(count)]


def show_overview(attended: "Attention") -> None:
    """Print one row per predicted word and one column per hop: the word with the highest weight, and this weight."""
    rows: list[tuple[object, ...]] = []
    for t, target in enumerate(attended.targets):
        first, weights = attended.past(t)
        most = weights.argmax(axis=1).tolist() if weights.size else []
        cells = [f"{attended.label(first + at)} {weights[k, at]:.2f}" for k, at in enumerate(most)]
        rows.append((attended.label(target), *(cells or [""] * len(weights))))
    tables.show(("predicted", *_hops(len(attended.weights))), rows)


def show_average(weights: "Weights", unit: str = "word") -> None:
    """Print mean weights (K, N): one row per hop, with a block per slot, oldest first, as high as its weight."""
    from rich.text import Text

    N, ramp = weights.shape[1], _ramp(HEIGHTS, ASCII_HEIGHTS)
    strips, together = _strips(weights, max(10, tables.console().width - BESIDE))
    oldest = f"{N} back"
    places = oldest + "1".rjust(max(2, strips.shape[1] - len(oldest)))
    rows = [
        (k + 1, Text("".join(_block(share, ramp) for share in strip), COLOUR), f"{row.max():.3f}", _half(row, unit))
        for k, (row, strip) in enumerate(zip(weights, strips, strict=True))
    ]
    tables.show(("hop", places, "largest", "half within"), rows)
    block = f"A block is a {unit}" if together == 1 else f"A block is the mean of {together} {unit}s"
    click.echo(
        f"{block}; a full block is the largest of its hop. "
        f"Half within: so many of the last {unit}s have half of the weight."
    )


def _strips(weights: "Weights", width: int) -> tuple["Weights", int]:
    """At most `width` columns per row, and how many slots a column is the mean of. Each row is scaled to maximum 1.

    The oldest column may have fewer slots.
    """
    import numpy as np

    from memlm.evaluation.attention import scale_rows

    N = weights.shape[1]
    together = -(-N // width)
    starts = np.maximum(np.arange(N - together * -(-N // together), N, together), 0)
    return scale_rows(np.add.reduceat(weights, starts, axis=1) / np.diff(starts, append=N)), together


def _half(weights: "Weights", unit: str) -> str:
    """How many of the last tokens together have half of the weight."""
    reached = weights[::-1].cumsum().searchsorted(weights.sum() / 2) + 1
    return f"{reached} {unit}{'s' if reached > 1 else ''}"


def _ramp(blocks: str, ascii_blocks: str) -> str:
    """The characters from empty to full: ASCII if the terminal has no others."""
    return ascii_blocks if tables.console().options.ascii_only else blocks


def _block(share: float, ramp: str) -> str:
    return ramp[round(float(share) * (len(ramp) - 1))]
