"""A plot of the attention over a story, like the paper's Figure 2: a row per sentence, a column per hop."""

from typing import TYPE_CHECKING, Any

import numpy as np

from memlm.errors import MemlmError
from memlm.evaluation.plots.attention import DARK_FROM, heat_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlm.evaluation.answers import Answer


NOTHING = "(no sentence)"
WRITTEN_FROM = 0.005  # smallest weight that is written; a smaller one would be 0.00
PLAIN: dict[str, Any] = {"fontsize": 9, "parse_math": False}


def attention_over_story(answer: "Answer") -> "Figure":
    """The attention weights (K, S) of an answer over the S sentences of its story. Supporting sentences are in bold.

    Raises MemlmError for a model without a memory.
    """
    from matplotlib.figure import Figure

    weights = answer.attention
    if weights is None:
        raise MemlmError("there is nothing to draw: this model has no memory to attend to")
    names = list(answer.sentences)
    if answer.nothing is not None and answer.nothing.max() >= WRITTEN_FROM:
        weights = np.hstack([weights, answer.nothing[:, None]])
        names.append(NOTHING)
    K, S = weights.shape
    longest = max(map(len, names))
    figure = Figure(figsize=(1.6 + 0.075 * longest + 0.7 * K, 1.1 + 0.24 * S), layout="constrained")
    ax = figure.subplots()
    heat_map(ax, weights.T)
    for k, s in np.argwhere(weights >= WRITTEN_FROM):
        color = "white" if weights[k, s] > DARK_FROM else "black"
        ax.text(k, s, f"{weights[k, s]:.2f}", ha="center", va="center", fontsize=8, color=color)
    ax.set_xticks(range(K), [f"hop {k + 1}" for k in range(K)], fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(S), names, **PLAIN)
    if answer.supporting is not None:
        for slot in np.flatnonzero(answer.supporting):
            ax.get_yticklabels()[slot].set_fontweight("bold")
    ax.tick_params(length=0)
    figure.suptitle(f"{answer.question}?  {answer.answer} ({answer.probability:.2f})", **PLAIN)
    return figure
