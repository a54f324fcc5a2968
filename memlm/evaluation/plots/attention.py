"""Plots of attention weights.

K hops, N memory slots, P words of a memory, T predicted words, W words of a text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


PALETTE = "magma_r"  # perceptually uniform, from nearly white to nearly black
TICKS = (0, 0.05, 0.2, 0.5, 1)  # for a scale of square roots
TITLE: dict[str, Any] = {"fontsize": 10, "loc": "left"}
WRITTEN_FROM = 0.05  # smallest weight that is written into its cell
DARK_FROM = 0.25  # larger weights are written in white
MAX_WORDS = 40  # in a plot of several predictions

Weights = npt.NDArray[np.float64]


def average_attention(weights: Weights, title: str) -> "Figure":
    """Mean weights (K, N), as in the paper's Figure 3. Each hop is divided by its maximum, written beside its row."""
    from matplotlib.figure import Figure

    K, N = weights.shape
    rows = 0.28 * K  # inches; a fixed layout, because a plot per epoch should take almost no time
    height = rows + 0.95
    figure = Figure(figsize=(8, height))
    ax = figure.add_axes((0.07, 0.55 / height, 0.75, rows / height))
    highest = weights.max(axis=1, keepdims=True)
    extent = (N + 0.5, 0.5, K + 0.5, 0.5)
    image = ax.imshow(weights / highest, aspect="auto", cmap=PALETTE, vmin=0, vmax=1, extent=extent)
    beside: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "fontsize": 8}
    ax.text(1.01, 0.4, "maximum", va="bottom", **beside)
    for hop, most in enumerate(highest[:, 0], start=1):
        ax.text(1.01, hop, f"{most:.3f}", va="center", **beside)
    ax.set(xlabel="words before the predicted one", ylabel="hop", yticks=range(1, K + 1))
    step = max(1, N // 5)
    ax.set_xticks([1, *range(max(2, step), N + 1, step)])
    ax.set_title(title, parse_math=False, **TITLE)
    place = figure.add_axes((0.91, 0.55 / height, 0.018, rows / height))
    figure.colorbar(image, cax=place, ticks=(0, 0.5, 1), label="weight / maximum")
    return figure


def attention_over_words(words: Sequence[str], weights: Weights, alone: Sequence[bool], title: str) -> "Figure":
    """Weights (K, P) by hop and word.

    An item of `words` that is not `alone` is a group of words. Its weights are written, but its cells have no colour.
    """
    from matplotlib.figure import Figure

    K, P = weights.shape
    figure = Figure(figsize=(max(6.0, 2.0 + 0.36 * P), 1.9 + 0.32 * K), layout="constrained")
    ax = figure.subplots()
    image = heat_map(ax, np.where(alone, weights, np.nan))
    for hop, at in np.argwhere(weights >= WRITTEN_FROM):
        weight = weights[hop, at]
        color = ("white" if weight > DARK_FROM else "black") if alone[at] else "gray"
        ax.text(at, hop, f"{weight:.2f}".removeprefix("0"), ha="center", va="center", fontsize=7, color=color)
    _name_words(ax, words, 10)
    ax.set_yticks(range(K), [str(hop + 1) for hop in range(K)])
    ax.set_ylabel("hop")
    ax.set_title(title, parse_math=False, **TITLE)
    figure.colorbar(image, ticks=TICKS, format="%g", label="attention weight")
    return figure


def attention_over_text(words: Sequence[str], predicted: Sequence[str], weights: Weights, title: str) -> "Figure":
    """One panel per hop: weights (K, T, W) by predicted word and past word; NaN if a word is not in the memory.

    Raises MemlmError for more than MAX_WORDS words or predictions.
    """
    from matplotlib.figure import Figure

    K, T, W = weights.shape
    if W > MAX_WORDS or T > MAX_WORDS:
        raise MemlmError(
            f"can't draw {T} predictions over {W} words: there is room for {MAX_WORDS} of each; give a shorter text, "
            f"or a --word that occurs once in it"
        )
    across = min(K, 3)
    down = -(-K // across)
    size = (1.9 + across * max(1.6, 0.15 * W), 1.3 + down * max(1.2, 0.15 * T))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flatten()
    for hop, ax in enumerate(panels[:K]):
        image = heat_map(ax, weights[hop])
        ax.set_title(f"hop {hop + 1}", fontsize=9)
        ax.set_yticks(range(T), predicted, fontsize=7, parse_math=False)
        _name_words(ax, words, 7)
        ax.tick_params(labelbottom=hop + across >= K)
    for ax in panels[K:]:
        ax.remove()
    figure.supylabel("predicted word", fontsize=10)
    figure.supxlabel("past word", fontsize=10)
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.colorbar(image, ax=panels[:K], ticks=TICKS, format="%g", label="attention weight")
    return figure


def heat_map(ax: "Axes", weights: Weights) -> "AxesImage":
    """Draw weights as colours, by their square root: small weights stay visible if a hop attends to many words."""
    from matplotlib.colors import PowerNorm

    return ax.imshow(weights, aspect="auto", cmap=PALETTE, norm=PowerNorm(0.5, vmin=0, vmax=1))


def _name_words(ax: "Axes", words: Sequence[str], size: int) -> None:
    turned: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(words)), words, fontsize=size, parse_math=False, **turned)
