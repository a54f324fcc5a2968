"""Tables 1 and 2 of the paper.

Source: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895. Table 1 is for bAbI v1.1. Its MemNN, which is
given the supporting sentences, and MemNN-WSH, which guesses them, are by Weston et al.; memlm has neither.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

FAILED_ABOVE = 5.0  # percent: a task with a higher error fails

# One block per column: tasks 1 to 20 at 1k, then mean and failed tasks at 1k, mean and failed tasks at 10k.
_FIGURES = """
memnn
  0.0 0.0 0.0 0.0 2.0 0.0 15.0 9.0 0.0 2.0 0.0 0.0 0.0 1.0 0.0 0.0 35.0 5.0 64.0 0.0
  6.7 4 3.2 2
lstm
  50.0 80.0 80.0 39.0 30.0 52.0 51.0 55.0 36.0 56.0 38.0 26.0 6.0 73.0 79.0 77.0 49.0 48.0 92.0 9.0
  51.3 20 36.4 16
memnn-wsh
  0.1 42.8 76.4 40.3 16.3 51.0 36.1 37.8 35.9 68.7 30.0 10.1 19.7 18.3 64.8 50.5 50.9 51.3 100.0 3.6
  40.2 18 39.2 17
bow
  0.6 17.6 71.0 32.0 18.3 8.7 23.5 11.4 21.1 22.8 4.1 0.3 10.5 1.3 24.3 52.0 45.4 48.1 89.7 0.1
  25.1 15 15.4 9
pe
  0.1 21.6 64.2 3.8 14.1 7.9 21.6 12.6 23.3 17.4 4.3 0.3 9.9 1.8 0.0 52.1 50.1 13.6 87.4 0.0
  20.3 13 9.4 6
pe-ls
  0.2 12.8 58.8 11.6 15.7 8.7 20.3 12.7 17.0 18.6 0.0 0.1 0.3 2.0 0.0 1.6 49.0 10.1 85.6 0.0
  16.3 12 7.2 4
pe-ls-rn
  0.0 8.3 40.3 2.8 13.1 7.6 17.3 10.0 13.2 15.1 0.9 0.2 0.4 1.7 0.0 1.3 51.0 11.1 82.8 0.0
  13.9 11 6.6 4
1hop-pe-ls-joint
  0.8 62.0 76.9 22.8 11.0 7.2 15.9 13.2 5.1 10.6 8.4 0.4 6.3 36.9 46.4 47.4 44.4 9.6 90.7 0.0
  25.8 17 24.5 16
2hop-pe-ls-joint
  0.0 15.6 31.6 2.2 13.4 2.3 25.4 11.7 2.0 5.0 1.2 0.0 0.2 8.1 0.5 51.3 41.2 10.3 89.9 0.1
  15.6 11 10.9 7
3hop-pe-ls-joint
  0.1 14.0 33.1 5.7 14.8 3.3 17.9 10.1 3.1 6.6 0.9 0.3 1.4 8.2 0.0 3.5 44.5 9.2 90.2 0.0
  13.3 11 7.9 6
pe-ls-rn-joint
  0.0 11.4 21.9 13.4 14.4 2.8 18.3 9.3 1.9 6.5 0.3 0.1 0.2 6.9 0.0 2.7 40.4 9.4 88.0 0.0
  12.4 11 7.5 6
pe-ls-lw-joint
  0.1 18.8 31.7 17.5 12.9 2.0 10.1 6.1 1.5 2.6 3.3 0.0 0.5 2.0 1.8 51.0 42.6 9.2 90.6 0.2
  15.2 10 11.0 6
"""
_NOT_BUILT = ("memnn", "memnn-wsh")


@dataclass(frozen=True, kw_only=True)
class Column:
    """Results of a model: percent of wrong answers, and the number of failed tasks."""

    errors: tuple[float, ...]  # of tasks 1 to 20, with 1,000 training questions
    mean_error: dict[str, float]  # by size, 1k and 10k
    failed_tasks: dict[str, int]  # by size
    quoted: bool  # whether memlm has no such model, and only quotes it


def _columns() -> dict[str, Column]:
    words = iter(_FIGURES.split())
    columns = {}
    for name in words:
        errors = tuple(float(next(words)) for _ in range(20))
        mean, failed, mean_10k, failed_10k = (next(words) for _ in range(4))
        columns[name] = Column(
            errors=errors,
            mean_error={"1k": float(mean), "10k": float(mean_10k)},
            failed_tasks={"1k": int(failed), "10k": int(failed_10k)},
            quoted=name in _NOT_BUILT,
        )
    return columns


TABLE1 = _columns()


def figures(name: str, tasks: Collection[int], size: str) -> dict[str, Any]:
    """The results of a column over these tasks: tasks (number -> percent), mean_error, failed_tasks.

    `tasks` is None at 10k, of which the paper has only the sums; these are None unless they are of the same tasks.
    """
    column = TABLE1[name]
    whole = len(tasks) == len(column.errors)
    return {
        "tasks": {str(task): column.errors[task - 1] for task in tasks} if size == "1k" else None,
        "mean_error": column.mean_error[size] if whole else None,
        "failed_tasks": column.failed_tasks[size] if whole else None,
    }


# [P] Table 2, Penn Treebank: (hops, memory) -> validation/test perplexity.
TABLE2_PTB = {
    (2, 100): "128/121",
    (3, 100): "129/122",
    (4, 100): "127/120",
    (5, 100): "127/118",
    (6, 100): "122/115",
    (7, 100): "120/114",
    (6, 25): "125/118",
    (6, 50): "121/114",
    (6, 75): "122/114",
    (6, 125): "120/112",
    (6, 150): "121/114",
    (7, 200): "118/111",
}
