"""A trained model, loaded from its run folder: evaluation, perplexity of a text, the next word, and attention."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from memlm.config.data import UNITS
from memlm.config.run import Config
from memlm.config.sampling import Sampling
from memlm.data import dataset
from memlm.data.batches import EMPTY
from memlm.data.corpus.reading import EncodedText, Tokens, encode
from memlm.data.dataset import TEXT, TextDataset
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation import attention, passport
from memlm.evaluation.attention import Attention, AverageAttention
from memlm.evaluation.passport import ALL_BEFORE, Facts, Passport
from memlm.evaluation.perplexity import Tick, TokenNats, check_protocol, perplexity, token_nats
from memlm.evaluation.records import Evaluation
from memlm.inference.generate import Drawn, generate
from memlm.inference.scoring import ScoredSentence, score_lines
from memlm.inference.streams.adapted import Worn
from memlm.inference.streams.stream import ModelStream, Stream, stream_nats
from memlm.models.base import LanguageModel
from memlm.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class NextWord:
    """What comes after a context: `probabilities` (V,) by word id, and what each hop looked at.

    `memory` holds the words of the memory, oldest first; `attention` (hops, len(memory)) the weight that each hop gave
    to each of them. A model without a memory has None for both.
    """

    words: Sequence[str]
    probabilities: npt.NDArray[np.float64]
    memory: Sequence[str] | None
    attention: npt.NDArray[np.float64] | None

    def top(self, count: int = 10) -> list[tuple[str, float]]:
        """The likeliest words with their probabilities, the likeliest first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.words[i], float(self.probabilities[i])) for i in best]


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model with its vocabulary and settings; `load` makes it from a run folder."""

    run: RunFolder
    config: Config
    vocabulary: Vocabulary
    model: LanguageModel
    checkpoint: str
    step: int  # of training, at which the checkpoint was made
    sample: Mapping[str, Any] | None = None  # nats of the first tokens of validation then, where they were noted
    worn: Worn | None = None  # the model in wrappers: memlm.inference.adapt
    wrappers: Mapping[str, Any] = field(default_factory=dict)  # these, as a passport names them

    def evaluate(self, split: str = "test", *, protocol: str = "exact") -> Passport:
        """Score of a split of the dataset that the model was trained on, with all that the figure rests on."""
        return self.score(self.data(split), split, protocol).passport

    def evaluate_text(self, path: str | Path, *, protocol: str = "exact") -> Passport:
        """Score of any text file, a sentence a line, with the run's own vocabulary: its dataset need not be here."""
        return self.score(self.text(Path(path)), TEXT, protocol).passport

    def text(self, path: Path) -> TextDataset:
        """A file under the model's vocabulary, whose only split is `text`."""
        return dataset.one_text(path, self.vocabulary)

    def data(self, *splits: str) -> TextDataset:
        """Splits of the dataset that the model was trained on, under its vocabulary.

        Raises MemlmError where another text lies in the place of one of them.
        """
        config = self.config
        found = dataset.load_dataset(config.dataset, config.data, splits=splits, vocabulary=self.vocabulary)
        self.run.check_text(config.dataset, found.sha256)
        return found

    def score(
        self, data: TextDataset, split: str, protocol: str = "exact", *, tick: Tick = lambda done, total: None
    ) -> Evaluation:
        """`evaluate`, of a dataset that was read before under this model's vocabulary; with the nats of each token.

        `tick` is told how many tokens are done, and of how many; what it raises ends the work.
        """
        text, memory_size = data.splits[split], self.model.memory_size
        check_protocol(protocol, tokens=len(text.tokens), memory_size=memory_size)
        began = time.perf_counter()
        nats = self._nats(text.tokens, tick)
        facts = self.facts(data, split, protocol, seconds=time.perf_counter() - began)
        floor = data.floor_nats.get(split)
        made = passport.make(nats, text, facts, memory_size=memory_size, floor_nats=floor)
        starts = np.flatnonzero(self.vocabulary.word_starts(text.tokens))
        return Evaluation(passport=made, nats=nats, word_nats=np.add.reduceat(nats, starts))

    def facts(self, data: TextDataset, split: str, protocol: str, *, seconds: float) -> Facts:
        """What a passport says of this model on a text."""
        weight = next(tensor for tensor in self.model.tensors().values() if tensor.is_floating_point())
        return Facts(
            run=str(self.run.path),
            model=self.config.model.name,
            label=self.config.model.label,
            dataset=data.name,
            split=split,
            protocol=protocol,
            checkpoint=self.checkpoint,
            step=self.step,
            parameters=self.model.parameter_count,
            data=asdict(self.config.data),
            tokenizer=self.vocabulary.tokenizer,
            vocabulary_size=len(self.vocabulary),
            vocabulary_sha256=self.vocabulary.sha256,
            context=self._context_seen(),
            wrappers=dict(self.wrappers),
            dtype=str(weight.dtype).removeprefix("torch."),
            device=weight.device.type,
            seconds=seconds,
        )

    def reproduce(self) -> tuple[float, float] | None:
        """Perplexity of the first tokens of validation: as noted when the checkpoint was made, and now.

        None where none was noted: of `last`, and before format 2.
        """
        if self.sample is None:
            return None
        tokens, nats = int(self.sample["tokens"]), float(self.sample["nats"])
        now = token_nats(self.model, self.data("valid").splits["valid"].tokens[:tokens])
        return perplexity(nats, tokens), perplexity(float(now.sum()), tokens)

    def _context_seen(self) -> int | str:
        """What a prediction can see: a cache, dynamic evaluation and a model that carries state see all before it."""
        worn = self.worn or Worn(model=self.model)
        models = [worn.model, *worn.others]
        if worn.wrappers.cache or worn.wrappers.dynamic or any(model.carries_state for model in models):
            return ALL_BEFORE
        return max(model.context_size for model in models)

    def token_nats(self, text: str) -> TokenNats:
        """-log p of each token of the text and of the `<eos>` after each of its lines, given all before it: (T,)."""
        return self._nats(self._encode(text).tokens)

    def _nats(self, tokens: Tokens, tick: Tick = lambda done, total: None) -> TokenNats:
        if self.worn is None:
            return token_nats(self.model, tokens, tick=tick)
        pieces, done = [], 0
        for piece in stream_nats(self.stream(), tokens):
            pieces.append(piece)
            done += len(piece)
            tick(done, len(tokens))
        return np.concatenate(pieces)

    def perplexity(self, text: str) -> float:
        """Perplexity of a text, a token: a word, piece or character, as the model has it, or the `<eos>` of a line.

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
        probabilities = (log_p[0] if self.worn is None else self._ahead(tokens)).double().exp().cpu().numpy()
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
        return attention.average(self.model, self.data(split).splits[split].tokens, tick=tick)

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
        """The model, in what it wears, at the start of a text."""
        return ModelStream(self.model) if self.worn is None else self.worn.stream()

    def _ahead(self, tokens: Tokens) -> torch.Tensor:
        """Log-probabilities (V,) after the tokens, of the model in what it wears."""
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
