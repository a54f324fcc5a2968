"""What each hop attends to: for words of a text, and on average over a split.

K hops, T targets, B rows, L targets in a row, N memory slots, oldest first.
Source: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, Figure 3.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm.data.batches import Span, consecutive, gather
from memlm.data.corpus.reading import Tokens
from memlm.data.vocabulary.words import EOS, UNK
from memlm.errors import MemlmError
from memlm.evaluation.inputs import to_tensors
from memlm.evaluation.perplexity import CHUNK_LENGTH, TARGETS_AT_ONCE, Tick
from memlm.models.base import LanguageModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SAMPLE = 1024  # targets in the picture of an epoch, which they add little to: 20 ms at the paper's sizes for PTB
WINDOWS_AT_ONCE = 64  # of single targets: each embeds its whole memory

Weights = npt.NDArray[np.float64]


class Piece(NamedTuple):
    """Consecutive past words: `weights` (K,) are those of all `words` of them together."""

    label: str
    words: int
    weights: Weights


@dataclass(frozen=True, kw_only=True, repr=False)
class Attention:
    """What each hop looked at to predict some words of a text.

    `words` are the text's tokens, as written, `<eos>` after each line that ended: words, pieces or characters; of
    those that are `unknown` the model saw `<unk>`. `targets` (T,) are places in `words`: len(words) is that of the
    word after the text. `weights` (K, T, N): slot n of target t is the word at targets[t] - N + n, and has weight 0
    where that is before the start. `unit` is what a token is called.

    >>> attention = memlm.load("runs/mine").attend("a0 b0 c0", targets=[3])
    >>> attention
    <attention for 1 of 3 words and the next, hops 2, memory 8>
    >>> [piece.label for piece in attention.pieces(0, count=3)]
    ['a0', 'b0', 'c0']
    """

    words: Sequence[str]
    unknown: Sequence[bool]
    targets: Sequence[int]
    weights: Weights
    unit: str = "word"

    def __repr__(self) -> str:
        K, T, N = self.weights.shape
        return f"<attention for {T} of {len(self.words)} {self.unit}s and the next, hops {K}, memory {N}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm attend --json` prints, but for the run.

        The words, and for each prediction the weights by hop of the words from `first` on; null is the next word.
        """
        predictions = []
        for t, place in enumerate(self.targets):
            first, weights = self.past(t)
            word = self.words[place] if place < len(self.words) else None
            predictions.append({"place": place, "word": word, "first": first, "weights": weights.tolist()})
        return {"words": self.words, "unknown": self.unknown, "predictions": predictions}

    def label(self, place: int) -> str:
        """The word at a place, as written, with a mark if the model knows it as `<unk>` alone; `␣` is a space."""
        if place == len(self.words):
            return f"(next {self.unit})"
        word = self.words[place].replace(" ", "␣")
        return f"{word} ({UNK})" if self.unknown[place] else word

    def past(self, t: int) -> tuple[int, Weights]:
        """Where in `words` the memory of target number `t` begins, and the weights (K, P) of its P words."""
        N, target = self.weights.shape[2], self.targets[t]
        first = max(0, target - N)
        return first, self.weights[:, t, N - (target - first) :]

    def pieces(self, t: int, count: int) -> list[Piece]:
        """The memory of target number `t`, oldest first: the `count` most attended words alone, others together."""
        first, weights = self.past(t)
        return [
            Piece(
                label=self.label(first + group[0]) if len(group) == 1 else f"({len(group)} {self.unit}s)",
                words=len(group),
                weights=weights[:, group].sum(axis=1),
            )
            for group in _grouped(weights, count)
        ]


@dataclass(frozen=True, kw_only=True, repr=False)
class AverageAttention:
    """Mean weight (K, N) of each slot at each hop over `targets` words, all of them with a full memory before them.

    >>> memlm.load("runs/mine").average_attention("valid").weights.shape
    (2, 8)
    """

    weights: Weights
    targets: int

    def __repr__(self) -> str:
        K, N = self.weights.shape
        return f"<average attention over {self.targets:,} targets, hops {K}, memory {N}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm attend --average --json` prints, but for the run and the split."""
        return {"targets": self.targets, "weights": self.weights.tolist()}


def split_words(text: str) -> list[str]:
    """The words of a text, split at white space, with `<eos>` after each line that ended."""
    return [word for line in text.split("\n") for word in (*line.split(), EOS)][:-1]


@torch.no_grad()
def _blocks(model: LanguageModel, tokens: Tokens, spans: Iterable[Span]) -> Iterator[Tensor]:
    """Weights (K, B, L, N) of each span's targets."""
    model.eval()
    for span in spans:
        inputs, _ = to_tensors(gather(tokens, span, model.context_size), model.device)
        weights = model.attention(inputs)
        assert weights is not None, "asked of a model that attends to nothing"
        yield weights


def of_targets(model: LanguageModel, tokens: Tokens, targets: Sequence[int]) -> Weights:
    """Weights (K, T, N) for the words at these places of the text; len(tokens) is that of the word after it."""
    text = np.append(tokens, tokens[:1])  # what the word after the text is makes no difference
    places = np.asarray(targets, np.int64)
    windows = (Span(places[at : at + WINDOWS_AT_ONCE], 1) for at in range(0, len(places), WINDOWS_AT_ONCE))
    return np.concatenate([block.double().cpu().numpy()[:, :, 0] for block in _blocks(model, text, windows)], axis=1)


def average(
    model: LanguageModel,
    tokens: Tokens,
    *,
    at_most: int | None = None,
    targets_at_once: int = TARGETS_AT_ONCE,
    tick: Tick = lambda done, total: None,
) -> AverageAttention:
    """Mean over the targets of a text that have a full memory before them, or over `at_most` of them.

    These are chunks of consecutive targets that lie evenly over the text. `tick` is told how many targets are done,
    and of how many. Raises MemlmError where the text is too short to fill the memory.
    """
    N, T = model.context_size, len(tokens)
    if T <= N:
        raise MemlmError(f"the text has {T} tokens, which never fill a memory of {N}: there is nothing to average")
    length = min(targets_at_once, CHUNK_LENGTH)
    rows = targets_at_once // length
    if at_most is not None and at_most < T - N:
        starts = np.linspace(N, T - length, at_most // length).astype(np.int64)
        spans = [Span(starts[at : at + rows], length) for at in range(0, len(starts), rows)]
    else:
        spans = [Span(span.starts + N, span.length) for span in consecutive(T - N, length, rows)]
    total, done = sum(len(span.starts) * span.length for span in spans), 0
    weights: Weights = np.zeros(())
    for span, block in zip(spans, _blocks(model, tokens, spans), strict=True):
        weights = weights + block.sum(dim=(1, 2), dtype=torch.float64).cpu().numpy()
        done += len(span.starts) * span.length
        tick(done, total)
    return AverageAttention(weights=weights / done, targets=done)


def picture(model: LanguageModel, tokens: Tokens, epoch: int) -> "Figure | None":
    """`average` over SAMPLE targets of the validation split, drawn; None where there is nothing to look at."""
    if not model.attends or len(tokens) <= model.context_size:
        return None

    from memlm.evaluation.plots.attention import average_attention  # draws: a model is loaded without matplotlib

    result = average(model, tokens, at_most=SAMPLE)
    return average_attention(
        result.weights, f"epoch {epoch}: average attention over {result.targets:,} words of valid"
    )


def scaled(weights: Weights) -> Weights:
    """Each row by its maximum; a row of zeros stays one."""
    highest = weights.max(axis=-1, keepdims=True, initial=0)
    result: Weights = np.divide(weights, highest, out=np.zeros_like(weights), where=highest > 0)
    return result


def _grouped(weights: Weights, count: int) -> list[range]:
    """The P words of weights (K, P) in order: the `count` of most weight over all hops alone, the others together."""
    most = np.sort(np.argsort(-weights.sum(axis=0), kind="stable")[:count])
    groups, at = [], 0
    for word in [*most.tolist(), weights.shape[1]]:
        if word > at:
            groups.append(range(at, word))
        groups.append(range(word, word + 1))
        at = word + 1
    return groups[:-1]
