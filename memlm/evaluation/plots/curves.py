"""A plot of learning curves: perplexity by epoch of several runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memlm.format import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Colours that colour-blind readers can distinguish: Okabe and Ito, "Color universal design", 2008. Their yellow is not
# used, because it is faint on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"  # the next one is used each time the colours start again


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A run: its name, its best validation perplexity, and the lines of its metrics.jsonl."""

    run: str
    perplexity: float
    history: Sequence[Mapping[str, Any]]


def perplexity_curves(curves: Sequence[Curve], *, title: str, floor: float | None = None) -> "Figure":
    """Validation and training perplexity by epoch, with a mark at the best epoch of each run.

    A run of one epoch is a horizontal line: for example an n-gram model, which is counted, not trained. `floor` is the
    lowest validation perplexity that any model can have.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    ax = figure.subplots()
    for number, curve in enumerate(curves):
        _draw_one(ax, curve, COLORS[number % len(COLORS)], MARKERS[number // len(COLORS) % len(MARKERS)])
    ax.plot([], [], color="#808080", linewidth=1, linestyle=(0, (4, 2)), label="training")
    if floor is not None:
        ax.axhline(floor, color="#808080", linewidth=1.2, linestyle=":", label=f"entropy floor, {shown(floor)}")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)) if high > 3 * low else MaxNLocator(8))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="perplexity (log scale)")
    ax.set_title(title, loc="left", parse_math=False)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    for text in ax.legend(frameon=False).get_texts():
        text.set_parse_math(False)
    return figure


def _draw_one(ax: Any, curve: Curve, color: str, marker: str) -> None:
    if len(curve.history) < 2:
        label = f"{curve.run}: {shown(curve.perplexity)}"
        if math.isfinite(curve.perplexity):
            ax.axhline(curve.perplexity, color=color, linewidth=2, label=label)
        else:
            ax.plot([], [], color=color, linewidth=2, label=label)
        return
    epochs = [line["epoch"] for line in curve.history]
    valid, train = ([_or_nan(line[f"{part}_perplexity"]) for line in curve.history] for part in ("valid", "train"))
    best = min(range(len(valid)), key=lambda i: (valid[i] != valid[i], valid[i]))  # NaN comes last
    label = f"{curve.run}: {shown(curve.perplexity)} (epoch {epochs[best]})"
    ax.plot(epochs, train, color=color, alpha=0.6, linewidth=1, linestyle=(0, (4, 2)))
    ax.plot(epochs, valid, color=color, linewidth=2, marker=marker, markevery=[best], label=label)


def _or_nan(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan
