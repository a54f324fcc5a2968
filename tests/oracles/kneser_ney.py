"""A slow modified interpolated Kneser-Ney model, straight from Chen & Goodman 1998 (Harvard TR-10-98).

It shares nothing with the package: the tests hold the package's fast code against it. Words are strings; a line is a
list of words without marks.

Below the highest order the report counts the different words before an n-gram. One that begins with a line's start has
none: as in SRILM and KenLM it keeps its occurrences, and one <s> stands before a line, not order - 1 of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

START, END = "<s>", "</s>"
FALLBACK = (0.5, 1.0, 1.5)

Gram = tuple[str, ...]


def counts_by_order(lines: Iterable[Sequence[str]], order: int) -> dict[int, dict[Gram, int]]:
    """What each n-gram of orders 1 to `order` counts: occurrences at the highest, different words before it below."""
    occurrences: dict[int, Counter[Gram]] = {n: Counter() for n in range(1, order + 1)}
    for line in lines:
        sentence = (START, *line, END)
        for n in occurrences:
            grams = [sentence[i : i + n] for i in range(len(sentence) - n + 1)]
            occurrences[n].update(gram for gram in grams if gram != (START,))
    counts: dict[int, dict[Gram, int]] = {order: dict(occurrences[order])}
    for n in range(1, order):
        before: dict[Gram, set[str]] = defaultdict(set)
        for gram in occurrences[n + 1]:
            before[gram[1:]].add(gram[0])
        counts[n] = {g: times if g[0] == START else len(before[g]) for g, times in occurrences[n].items()}
    return counts


def discounts_of(counts: Iterable[int]) -> tuple[float, float, float]:
    """D1, D2 and D3+; FALLBACK where they can't be estimated."""
    times = Counter(counts)
    n1, n2, n3, n4 = (times[i] for i in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) > 0 else FALLBACK


class KneserNey:
    """p(word | context) by the recursive definition."""

    def __init__(self, lines: Iterable[Sequence[str]], words: Iterable[str], order: int) -> None:
        self.order = order
        self.size = len({*words, END})
        counts = counts_by_order(lines, order)
        self.discounts = {n: discounts_of(of.values()) for n, of in counts.items()}
        self.after: dict[Gram, dict[str, int]] = defaultdict(dict)  # context -> next word -> count
        for of in counts.values():
            for gram, count in of.items():
                self.after[gram[:-1]][gram[-1]] = count

    def probability(self, word: str, line: Sequence[str]) -> float:
        """p of the word, or of END, after the words of a line so far."""
        before = (START, *line)
        return self._interpolated(word, before[max(0, len(before) - self.order + 1) :])

    def _interpolated(self, word: str, context: Gram) -> float:
        lower = self._interpolated(word, context[1:]) if context else 1 / self.size
        seen = self.after.get(context)
        if not seen:
            return lower
        total = sum(seen.values())
        taken = {other: self.discounts[len(context) + 1][min(count, 3) - 1] for other, count in seen.items()}
        gamma = sum(taken.values()) / total
        return (seen.get(word, 0) - taken.get(word, 0)) / total + gamma * lower
