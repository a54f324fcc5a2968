"""What each hop attends to: for the words of a text, and on average over a split.

K hops, T targets, B rows, L targets per row, N memory slots (oldest first), P past words.
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


SAMPLE = 1024  # targets in the plot of an epoch: 20 ms with the paper's settings for PTB
WINDOWS_AT_ONCE = 64  # windows with one target each: every window embeds its whole memory

Weights = npt.NDArray[np.float64]


class PastWords(NamedTuple):
    """Consecutive past words. `words` is their number, and `weights` (K,) the sum of their weights."""

    label: str
    words: int
    weights: Weights


@dataclass(frozen=True, kw_only=True, repr=False)
class Attention:
    """What each hop attends to when the model predicts some words of a text.

    `words` are the tokens of the text (words, pieces or characters) as written, with `<eos>` for each line break. The
    model sees `<unk>` for those that are `unknown`. `targets` (T,) are indices in `words`; len(words) is the word
    after the text. In `weights` (K, T, N), slot n of target t is the word at targets[t] - N + n; a slot before the
    start of the text has weight 0. `unit` is the name of a token: word, piece or character.

    >>> attention = memlm.load("runs/mine").attend("a0 b0 c0", targets=[3])
    >>> attention
    <attention for 1 of 3 words and the next, hops 2, memory 8>
    >>> [piece.label for piece in attention.past_words(0, count=3)]
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
        """For JSON: what `memlm attend --json` prints, without the run.

        The words, and the predictions. A prediction has the weights by hop of the words from index `first` on. Its
        `word` is null for the word after the text.
        """
        predictions = []
        for t, place in enumerate(self.targets):
            first, weights = self.past(t)
            word = self.words[place] if place < len(self.words) else None
            predictions.append({"place": place, "word": word, "first": first, "weights": weights.tolist()})
        return {"words": self.words, "unknown": self.unknown, "predictions": predictions}

    def label(self, place: int) -> str:
        """The word at an index, as written. A space is `␣`, and an unknown word is marked with `<unk>`."""
        if place == len(self.words):
            return f"(next {self.unit})"
        word = self.words[place].replace(" ", "␣")
        return f"{word} ({UNK})" if self.unknown[place] else word

    def past(self, t: int) -> tuple[int, Weights]:
        """The index in `words` where the memory of target number `t` begins, and the weights (K, P) of its P words."""
        N, target = self.weights.shape[2], self.targets[t]
        first = max(0, target - N)
        return first, self.weights[:, t, N - (target - first) :]

    def past_words(self, t: int, count: int) -> list[PastWords]:
        """The memory of target `t`, oldest first. The `count` words of most weight are alone, others in groups."""
        first, weights = self.past(t)
        return [
            PastWords(
                label=self.label(first + group[0]) if len(group) == 1 else f"({len(group)} {self.unit}s)",
                words=len(group),
                weights=weights[:, group].sum(axis=1),
            )
            for group in _grouped(weights, count)
        ]


@dataclass(frozen=True, kw_only=True, repr=False)
class AverageAttention:
    """The mean weight (K, N) of each slot at each hop, over `targets` words that have a full memory.

    >>> memlm.load("runs/mine").average_attention("valid").weights.shape
    (2, 8)
    """

    weights: Weights
    targets: int

    def __repr__(self) -> str:
        K, N = self.weights.shape
        return f"<average attention over {self.targets:,} targets, hops {K}, memory {N}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `memlm attend --average --json` prints, without the run and the split."""
        return {"targets": self.targets, "weights": self.weights.tolist()}


def split_words(text: str) -> list[str]:
    """The words of a text, split at white space, with `<eos>` for each line break."""
    return [word for line in text.split("\n") for word in (*line.split(), EOS)][:-1]


@torch.no_grad()
def _blocks(model: LanguageModel, tokens: Tokens, spans: Iterable[Span]) -> Iterator[Tensor]:
    """Yield the weights (K, B, L, N) for the targets of each span."""
    model.eval()
    for span in spans:
        inputs, _ = to_tensors(gather(tokens, span, model.context_size), model.device)
        weights = model.attention(inputs)
        assert weights is not None, "this model has no memory"
        yield weights


def target_weights(model: LanguageModel, tokens: Tokens, targets: Sequence[int]) -> Weights:
    """Weights (K, T, N) for the targets at these indices of the text. len(tokens) is the word after the text."""
    text = np.append(tokens, tokens[:1])  # any word will do as the word after the text: weights do not depend on it
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
    """The mean weights over the targets of a text that have a full memory, or over a sample of `at_most` of them.

    The sample is made of chunks of consecutive targets, spread evenly over the text. `tick(done, total)` is called
    with numbers of targets. Raises MemlmError if the text is too short to fill the memory.
    """
    N, T = model.context_size, len(tokens)
    if T <= N:
        raise MemlmError(f"the text has {T} tokens, too few for a prediction with a full memory of {N}")
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
    """A plot of the `average` over SAMPLE targets of the validation split.

    None for a model without a memory, or if the split is too short to fill it.
    """
    if not model.attends or len(tokens) <= model.context_size:
        return None

    from memlm.evaluation.plots.attention import average_attention  # here: loading a model must not import matplotlib

    result = average(model, tokens, at_most=SAMPLE)
    return average_attention(
        result.weights, f"epoch {epoch}: average attention over {result.targets:,} words of valid"
    )


def scale_rows(weights: Weights) -> Weights:
    """Divide each row by its maximum. A row of zeros stays unchanged."""
    highest = weights.max(axis=-1, keepdims=True, initial=0)
    result: Weights = np.divide(weights, highest, out=np.zeros_like(weights), where=highest > 0)
    return result


def _grouped(weights: Weights, count: int) -> list[range]:
    """The P words of weights (K, P) in order. The `count` words of most weight are alone, the others in groups."""
    most = np.sort(np.argsort(-weights.sum(axis=0), kind="stable")[:count])
    groups, at = [], 0
    for word in [*most.tolist(), weights.shape[1]]:
        if word > at:
            groups.append(range(at, word))
        groups.append(range(word, word + 1))
        at = word + 1
    return groups[:-1]
