"""A trained language model: perplexity of a text, hidden states, the next word, attention, and text drawn from it.

T tokens, D units, V tokens of the vocabulary.
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
from memlm.inference.generate import Drawn, generate
from memlm.inference.scoring import ScoredSentence, score_lines
from memlm.inference.streams.adapted import Adapted
from memlm.inference.streams.stream import ModelStream, Stream, blocks, stream_nats
from memlm.models.base import LanguageModel
from memlm.models.layers.head import TrainableHead
from memlm.runs.folder import RunFolder
from memlm.runs.manifest import Manifest

LIKELIEST = 10  # next words that a result names


@dataclass(frozen=True, kw_only=True, repr=False)
class NextWord:
    """What comes after a context: `probabilities` (V,) by token id, and what each hop looked at.

    `memory` holds the words of the memory, oldest first; `attention` (hops, len(memory)) the weight that each hop gave
    to each of them. A model without a memory has None for both.

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
        """For JSON: the likeliest words with their probabilities, and the memory with its weights."""
        return {
            "likeliest": dict(self.top()),
            "memory": None if self.memory is None else list(self.memory),
            "attention": None if self.attention is None else self.attention.tolist(),
        }

    def top(self, count: int = LIKELIEST) -> list[tuple[str, float]]:
        """The likeliest words with their probabilities, the likeliest first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.words[i], float(self.probabilities[i])) for i in best]


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedModel:
    """A language model with its vocabulary and settings; `memlm.load` makes it from a run folder.

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
    step: int  # of training, at which the checkpoint was made
    sample: Mapping[str, Any] | None = None  # nats of the first tokens of validation then, where they were noted
    adapted_model: Adapted | None = None  # with cache, dynamic evaluation or mixture; None: the model alone
    adaptation: Mapping[str, Any] = field(default_factory=dict)  # its weights, as a passport names them

    def __repr__(self) -> str:
        adapted = "".join(f" + {name}" for name in self.adaptation)
        label = self.config.model.label
        return f"<memlm model {label}{adapted}, {self.run.path}, {self.checkpoint}, step {self.step}>"

    @property
    def config(self) -> Config:
        """The settings that the run was made with."""
        return self.manifest.text_config

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens by id: words, pieces or characters."""
        return self.manifest.vocabulary

    def evaluate(self, split: str = "test", *, protocol: str = "exact") -> Passport:
        """Score of a split of the dataset that the model was trained on, with all that the figure rests on.

        Every token is scored once; perplexity is exp of the mean nats per token. `protocol` facebook scores the tokens
        that the paper's reference code scores.
        """
        return evaluation.score(self, evaluation.read_split(self, split), split, protocol).passport

    def evaluate_text(self, path: str | Path, *, protocol: str = "exact") -> Passport:
        """Score of any text file, a sentence a line, with the run's own vocabulary: its dataset need not be here."""
        return evaluation.score(self, one_text(Path(path), self.vocabulary), TEXT, protocol).passport

    def adapted(
        self,
        *,
        cache: bool = False,
        dynamic: bool = False,
        mix: "Sequence[TrainedModel | str | Path]" = (),
        again: bool = False,
        report: Callable[[str], object] = lambda line: None,
    ) -> "TrainedModel":
        """The model with a cache of the words read so far, dynamic evaluation, or a mixture with other models.

        Every method then uses the combined prediction. `mix` holds models or the paths of their runs. Weights are
        tuned on the validation split alone, or taken from an evaluation that the run keeps; tuned anew with `again`.
        `report` is called with a line for each setting that is tried. Raises MemlmError for a model that can't be
        adapted so. Sources: Grave et al. 2017, Krause et al. 2018.
        """
        from memlm.inference.adapt import adapt  # which imports this module

        return adapt(self, cache=cache, dynamic=dynamic, mix=mix, again=again, report=report)

    def token_nats(self, text: str) -> TokenNats:
        """-log p of each token of the text and of the `<eos>` after each of its lines, given all before it: (T,)."""
        return evaluation.nats_of(self, self._encode(text).tokens)

    def hidden(self, text: str) -> npt.NDArray[np.floating[Any]]:
        """Hidden states (T, D) of the tokens of a text and of the `<eos>` after each of its lines.

        Row t is the state from which token t is predicted, given all before it: what the output layer reads, in the
        model's own precision. They are of the model itself, whatever it is adapted with. Raises MemlmError for a
        model that has none.
        """
        if not isinstance(self.model.head, TrainableHead):
            raise MemlmError(f"{self.run.path} is of {self.config.model.label}, which has no hidden states")
        stream = ModelStream(self.model)
        read = blocks(self._encode(text).tokens, stream.device)
        return torch.cat([hidden for block in read for hidden, _ in stream.parts(block)]).cpu().numpy()

    def perplexity(self, text: str) -> float:
        """Perplexity of a text per token: word, piece or character, as the model has it, or the `<eos>` of a line.

        Words are split at white space; what the vocabulary does not hold is `<unk>`.
        """
        nats = self.token_nats(text)
        return perplexity(float(nats.sum()), len(nats))

    @torch.no_grad()
    def next_word(self, context: str) -> NextWord:
        """Distribution of the token after `context`; a context that ends with a line break is at a line's start."""
        tokens, C = self._context(context), self.model.context_size
        if self.model.carries_state:
            seen, empty = tokens, C  # it starts before the first word
        else:
            seen, empty = tokens[max(0, len(tokens) - C) :], max(0, C - len(tokens))
        ids = np.concatenate([np.full(empty, EMPTY), seen]).astype(np.int64)
        inputs = torch.from_numpy(ids)[None].to(self.model.device)
        hidden, _ = self.model(inputs)
        log_p = self.model.head.log_probabilities(hidden[:, -1])
        weights = self.model.attention(inputs)
        memory = looked_at = None
        if weights is not None:
            memory = [self.vocabulary.words[i] for i in seen]
            looked_at = weights[:, 0, -1, empty:].double().cpu().numpy()
        probabilities = (log_p[0] if self.adapted_model is None else self._ahead(tokens)).double().exp().cpu().numpy()
        return NextWord(words=self.vocabulary.words, probabilities=probabilities, memory=memory, attention=looked_at)

    def attend(self, text: str, *, targets: Sequence[int] | None = None) -> Attention:
        """What each hop looked at to predict each word of a text and the word after it, or those at `targets` alone.

        Words and lines are those of `next_word`: a text that ends with a line break is at a line's start.
        """
        self._refuse_without_memory()
        words, _ = self.cut(text)
        if not words:
            raise MemlmError("the text is empty: there is no word to look at")
        places = list(range(len(words) + 1) if targets is None else targets)
        if not places or min(places) < 0 or max(places) > len(words):
            raise MemlmError(
                f"targets are places in the text, from 0 to {len(words)} for the word after it, not {places}"
            )
        return Attention(
            words=words,
            unknown=(self.vocabulary.ids_of(attention.split_words(text)) < 0).tolist(),
            targets=places,
            weights=attention.of_targets(self.model, self._context(text), places),
            unit=UNITS[self.vocabulary.tokenizer],
        )

    def cut(self, text: str) -> tuple[list[str], list[int]]:
        """The tokens of a text as written, `<eos>` after each line that ended, and the places where words begin."""
        words = attention.split_words(text)
        starts = self.vocabulary.word_starts(self._context(text))
        return self.vocabulary.as_written(words), np.flatnonzero(starts).tolist()

    def average_attention(self, split: str = "valid", *, tick: Tick = lambda done, total: None) -> AverageAttention:
        """Mean weight of each slot at each hop over a split: the paper's Figure 3, before its rows are scaled.

        `tick` is told how many targets are done, and of how many.
        """
        self._refuse_without_memory()
        return attention.average(self.model, evaluation.read_split(self, split).splits[split].tokens, tick=tick)

    def _refuse_without_memory(self) -> None:
        if not self.model.attends:
            raise MemlmError(f"{self.run.path} is of {self.config.model.label}, which has no memory to attend to")

    def score_lines(self, lines: str | Iterable[str], *, independent: bool = False) -> Iterator[ScoredSentence]:
        """Each line of a text scored word by word: given all the lines before it, or `independent` of them."""
        if isinstance(lines, str):
            lines = lines.removesuffix("\n").split("\n")
        if not independent:
            yield from score_lines(self.stream(), self.vocabulary, lines)
            return
        for line in lines:
            yield from score_lines(self.stream(), self.vocabulary, [line])

    def generate(self, prompt: str = "", sampling: Sampling | None = None, *, seed: int) -> Iterator[Drawn]:
        """What goes on from a prompt, token by token as it is drawn; `<eos>` ends a line."""
        tokens = self._context(prompt)
        return generate(self.stream(), self.vocabulary, tokens, sampling or Sampling(), seed=seed)

    def stream(self) -> Stream:
        """The model, adapted or alone, at the start of a text."""
        return ModelStream(self.model) if self.adapted_model is None else self.adapted_model.stream()

    def _ahead(self, tokens: Tokens) -> torch.Tensor:
        """Log-probabilities (V,) after the tokens, of the adapted model."""
        stream = self.stream()
        for _ in stream_nats(stream, tokens):
            pass
        return stream.ahead()

    def _context(self, text: str) -> Tokens:
        """A text that goes on: no `<eos>` after its last line."""
        return encode([line.split() for line in text.split("\n")], self.vocabulary).tokens[:-1]

    def _encode(self, text: str) -> EncodedText:
        lines = text.removesuffix("\n").split("\n")
        if lines == [""]:
            raise MemlmError("the text is empty: there is nothing to score")
        return encode((line.split() for line in lines), self.vocabulary)
