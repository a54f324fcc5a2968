"""A plot of the results of `memlm bench`."""

from pathlib import Path
from typing import Any

from memlm.evaluation.plots import pictures

TITLES = {
    "hops": "hops",
    "memory_size": "memory slots",
    "vocabulary": "words in the vocabulary",
    "batch_size": "targets",
}


def save_plot(result: dict[str, Any], path: Path) -> None:
    """Plot the time per target, by formulation and batch size, and the time per step, by each size.

    Raises MemlmError if the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6.5), layout="constrained")
    axes = list(figure.subplots(2, 4).flatten())
    for task, bars in result["microseconds_a_target"].items():
        _bars(axes.pop(0), f"{task}, µs a target", bars)
    for scale, points in result["scaling"].items():
        ax = axes.pop(0)
        ax.plot([p["value"] for p in points], [p["milliseconds"] for p in points], marker="o", color="#3b6ea8")
        ax.set(title=f"ms a step by {TITLES[scale]}", xlabel=TITLES[scale], ylim=(0, None))
        ax.grid(alpha=0.3)
    for ax in axes:
        ax.remove()
    environment = result["environment"]
    figure.suptitle(
        f"memlm bench: {environment['cpu']}, {environment['threads']} threads, torch {environment['torch']}"
    )
    pictures.save(figure, path)


def _bars(ax: Any, title: str, microseconds: dict[str, float]) -> None:
    names = list(microseconds)[::-1]
    colors = ["#b0b0b0" if name.startswith(("per window", "floor", "full")) else "#3b6ea8" for name in names]
    ax.bar_label(ax.barh(names, [microseconds[name] for name in names], color=colors), fmt="%.0f", padding=3)
    ax.set(title=title)
    ax.margins(x=0.15)
