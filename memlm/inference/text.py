"""A trained language model: perplexity, hidden states, next word, attention, scores of lines, generated text.

T tokens, D units, V tokens in the vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from memlm.config.data import UNITS
from memlm.config.run import Config
from memlm.config.sampling import Sampling
from memlm.data.batches import EMPTY
from memlm.data.corpus.reading import EncodedText, Tokens, encode
from memlm.data.dataset import TEXT, one_text
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation import attention
from memlm.evaluation.attention import Attention, AverageAttention
from memlm.evaluation.passport import Passport
from memlm.evaluation.perplexity import Tick, TokenNats, perplexity
from memlm.inference import evaluation
from memlm.inference.generate import DrawnToken, generate
from memlm.inference.scoring import ScoredSentence, score_lines
from memlm.inference.streams.adapted import Adapted
from memlm.inference.streams.stream import ModelStream, Stream, blocks, stream_nats
from memlm.models.base import LanguageModel
from memlm.models.layers.head import TrainableHead
from memlm.runs.folder import RunFolder
from memlm.runs.manifest import Manifest

LIKELIEST = 10  # next words in a result


@dataclass(frozen=True, kw_only=True, repr=False)
class NextWord:
    """The distribution of the word after a context, and what each hop attended to.

    `probabilities` (V,) are by token id. `memory` is the list of words in the memory, oldest first. `attention`
    (hops, len(memory)) has the weight of each word at each hop. Without a memory, both are None.

    >>> ahead = memlm.load("runs/mine").next_word("a0 b0")
    >>> ahead.probabilities.shape == (len(ahead.words),)
    True
    >>> ahead.memory, ahead.attention.shape
    (['a0', 'b0'], (2, 2))
    """

    words: Sequence[str]
    probabilities: npt.NDArray[np.float64]
    memory: Sequence[str] | None
    attention: npt.NDArray[np.float64] | None

    def __repr__(self) -> str:
        likeliest = ", ".join(f"{word!r} {p:.3f}" for word, p in self.top(3))
        return f"<next word of {len(self.words):,}: {likeliest}, ...>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the likeliest words with their probabilities, the memory and its attention weights."""
        return {
            "likeliest": dict(self.top()),
            "memory": None if self.memory is None else list(self.memory),
            "attention": None if self.attention is None else self.attention.tolist(),
        }

    def top(self, count: int = LIKELIEST) -> list[tuple[str, float]]:
        """The `count` likeliest words with their probabilities, the likeliest first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.words[i], float(self.probabilities[i])) for i in best]


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedModel:
    """A language model with its vocabulary and settings. `memlm.load` makes it from a run folder.

    >>> model = memlm.load("runs/mine")
    >>> model.perplexity("a0 b0 c0 d") < len(model.vocabulary)
    True
    >>> model.hidden("a0 b0 c0 d").shape  # 4 words and <eos>, 6 units
    (5, 6)
    """

    run: RunFolder
    manifest: Manifest
    model: LanguageModel
    checkpoint: str
    step: int  # training step of the checkpoint
    sample: Mapping[str, Any] | None = None  # nats of the first validation tokens, as recorded in the checkpoint
    adapted_model: Adapted | None = None  # the model with cache, dynamic evaluation or mixture, if it has any
    adaptation: Mapping[str, Any] = field(default_factory=dict)  # the weights of these, as in a passport

    def __repr__(self) -> str:
        adapted = "".join(f" + {name}" for name in self.adaptation)
        label = self.config.model.label
        return f"<memlm model {label}{adapted}, {self.run.path}, {self.checkpoint}, step {self.step}>"

    @property
    def config(self) -> Config:
        """The settings of the run."""
        return self.manifest.text_config

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the run: words, pieces or characters."""
        return self.manifest.vocabulary

    def evaluate(self, split: str = "test", *, protocol: str = "exact") -> Passport:
        """Score a split of the dataset that the model was trained on. Returns the passport, with `["perplexity"]`.

        Protocol `exact` scores every token once; `facebook` scores the tokens that the paper's reference code scores.
        Raises MemlmError for an unknown split or protocol, or if the dataset has changed since training.
        """
        return evaluation.score(self, evaluation.read_split(self, split), split, protocol).passport

    def evaluate_text(self, path: str | Path, *, protocol: str = "exact") -> Passport:
        """Score a text file with one sentence per line, with the vocabulary of the run. Returns the passport."""
        return evaluation.score(self, one_text(Path(path), self.vocabulary), TEXT, protocol).passport

    def adapted(
        self,
        *,
        cache: bool = False,
        dynamic: bool = False,
        mix: "Sequence[TrainedModel | str | Path]" = (),
        tune_again: bool = False,
        report: Callable[[str], object] = lambda line: None,
    ) -> "TrainedModel":
        """The model with a cache of the words read so far, dynamic evaluation, or a mixture with other models.

        Every method then uses the combined prediction. `mix` has models or the paths of their runs. The weights are
        read from an earlier evaluation in the run folder, or else tuned on the validation split. With `tune_again`,
        they are always tuned. `report` is called with one line of text for each setting that is tried. Raises
        MemlmError if the model can't be adapted in this way. Sources: Grave et al. 2017,
        https://arxiv.org/abs/1612.04426 (cache); Krause et al. 2018, https://arxiv.org/abs/1709.07432 (dynamic).
        """
        from memlm.inference.adapt import adapt  # here, because it imports this module

        return adapt(self, cache=cache, dynamic=dynamic, mix=mix, tune_again=tune_again, report=report)

    def token_nats(self, text: str) -> TokenNats:
        """-log p (T,) of each token of a text, with an `<eos>` after each line, given all tokens before it."""
        return evaluation.score_tokens(self, self._encode(text).tokens)

    def hidden(self, text: str) -> npt.NDArray[np.floating[Any]]:
        """Hidden states (T, D) for the tokens of a text, with an `<eos>` after each line.

        Row t is the input of the output layer for the prediction of token t, given all tokens before it. The dtype is
        that of the model. A cache, dynamic evaluation or a mixture does not change them. Raises MemlmError if the
        model has no hidden states.
        """
        if not isinstance(self.model.head, TrainableHead):
            raise MemlmError(f"{self.run.path} is a run of {self.config.model.label}, which has no hidden states")
        stream = ModelStream(self.model)
        parts = blocks(self._encode(text).tokens, stream.device)
        return torch.cat([hidden for block in parts for hidden, _ in stream.parts(block)]).cpu().numpy()

    def perplexity(self, text: str) -> float:
        """Perplexity per token of a text. A token is a word, piece or character, or the `<eos>` of a line.

        Words are split at white space. Unknown words count as `<unk>`.
        """
        nats = self.token_nats(text)
        return perplexity(float(nats.sum()), len(nats))

    @torch.no_grad()
    def next_word(self, context: str) -> NextWord:
        """The distribution of the token after `context`. After a line break, it is the first token of a line."""
        tokens, C = self._context(context), self.model.context_size
        if self.model.carries_state:
            seen, empty = tokens, C  # the state starts before the first word
        else:
            seen, empty = tokens[max(0, len(tokens) - C) :], max(0, C - len(tokens))
        ids = np.concatenate([np.full(empty, EMPTY), seen]).astype(np.int64)
        inputs = torch.from_numpy(ids)[None].to(self.model.device)
        hidden, _ = self.model(inputs)
        log_p = self.model.head.log_probabilities(hidden[:, -1])
        weights = self.model.attention(inputs)
        memory = attended = None
        if weights is not None:
            memory = [self.vocabulary.words[i] for i in seen]
            attended = weights[:, 0, -1, empty:].double().cpu().numpy()
        combined = log_p[0] if self.adapted_model is None else self._next_log_probabilities(tokens)
        probabilities = combined.double().exp().cpu().numpy()
        return NextWord(words=self.vocabulary.words, probabilities=probabilities, memory=memory, attention=attended)

    def attend(self, text: str, *, targets: Sequence[int] | None = None) -> Attention:
        """What each hop attends to for each prediction: each word of a text, and the word after it.

        With `targets`, only the words at these indices; len(words) is the index of the word after the text. After a
        line break, the next word is the first of a line. Raises MemlmError if the model has no memory, if the text is
        empty, or if an index is out of range.
        """
        self._refuse_without_memory()
        words, _ = self.tokenize(text)
        if not words:
            raise MemlmError("the text is empty: give at least one word")
        indices = list(range(len(words) + 1) if targets is None else targets)
        if not indices or min(indices) < 0 or max(indices) > len(words):
            raise MemlmError(
                f"targets are {indices}; they must be from 0 to {len(words)}, which is the word after the text"
            )
        return Attention(
            words=words,
            unknown=(self.vocabulary.ids_of(attention.split_words(text)) < 0).tolist(),
            targets=indices,
            weights=attention.target_weights(self.model, self._context(text), indices),
            unit=UNITS[self.vocabulary.tokenizer],
        )

    def tokenize(self, text: str) -> tuple[list[str], list[int]]:
        """The tokens of a text as written, with `<eos>` for each line break, and the indices where words begin."""
        words = attention.split_words(text)
        starts = self.vocabulary.word_starts(self._context(text))
        return self.vocabulary.as_written(words), np.flatnonzero(starts).tolist()

    def average_attention(self, split: str = "valid", *, tick: Tick = lambda done, total: None) -> AverageAttention:
        """The mean weight of each slot at each hop over a split, as in the paper's Figure 3, but not scaled.

        `tick(done, total)` is called with numbers of targets. Raises MemlmError if the model has no memory, or if the
        split is too short to fill it.
        """
        self._refuse_without_memory()
        return attention.average(self.model, evaluation.read_split(self, split).splits[split].tokens, tick=tick)

    def _refuse_without_memory(self) -> None:
        if not self.model.attends:
            raise MemlmError(
                f"{self.run.path} is a run of {self.config.model.label}, which has no memory to attend to"
            )

    def score_lines(self, lines: str | Iterable[str], *, independent: bool = False) -> Iterator[ScoredSentence]:
        """Score each line of a text word by word: given all lines before it, or, if `independent`, without them."""
        if isinstance(lines, str):
            lines = lines.removesuffix("\n").split("\n")
        if not independent:
            yield from score_lines(self.stream(), self.vocabulary, lines)
            return
        for line in lines:
            yield from score_lines(self.stream(), self.vocabulary, [line])

    def generate(self, prompt: str = "", sampling: Sampling | None = None, *, seed: int) -> Iterator[DrawnToken]:
        """Continue a prompt. Yields each token as it is drawn; `<eos>` ends a line."""
        tokens = self._context(prompt)
        return generate(self.stream(), self.vocabulary, tokens, sampling or Sampling(), seed=seed)

    def stream(self) -> Stream:
        """A stream of the model, with its adaptation if it has one, at the start of a text."""
        return ModelStream(self.model) if self.adapted_model is None else self.adapted_model.stream()

    def _next_log_probabilities(self, tokens: Tokens) -> torch.Tensor:
        """Log-probabilities (V,) of the token after these, under the adapted model."""
        stream = self.stream()
        for _ in stream_nats(stream, tokens):
            pass
        return stream.predict_next()

    def _context(self, text: str) -> Tokens:
        """The tokens of a text whose last line has not ended: no `<eos>` after it."""
        return encode([line.split() for line in text.split("\n")], self.vocabulary).tokens[:-1]

    def _encode(self, text: str) -> EncodedText:
        lines = text.removesuffix("\n").split("\n")
        if lines == [""]:
            raise MemlmError("the text is empty: there is nothing to score")
        return encode((line.split() for line in lines), self.vocabulary)
