"""Models that answer a question about a story; R restarts, each with weights of its own, in one tensor program.

R restarts, B questions, S memory slots, W words of a sentence, P different sentences, F figures of a prepared
sentence, K hops, D units, V words; T = S times.
Sources: [P] Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2 and 4; [C] its code,
https://github.com/facebookarchive/MemNN.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from memlm.config.models import AnswererConfig
from memlm.models.base import StoredModel
from memlm.models.layers.memory import Hops, Stories


class Asked(NamedTuple):
    """Questions and the stories before them, for every restart; a slot that is not `filled` holds no sentence.

    `sentences` are the different sentences of the stories, padded with any where a restart has fewer; both they and
    the `questions` are as the model prepares them.
    """

    sentences: Tensor  # (R, P, F)
    stories: Tensor  # (R, B, S), rows of `sentences`; any row where the slot is empty
    times: Tensor  # (R, B, S), places counted back from the question, the most recent is 0; below memory_size
    filled: Tensor  # (R, B, S), bool
    questions: Tensor  # (R, B, F)


class Answerer(StoredModel, ABC):
    """Every parameter has a first dimension R: restarts share a computation, and nothing else."""

    restarts: int
    memory_size: int  # sentences of a story that it reads
    init_std: float

    @abstractmethod
    def prepare(self, words: Tensor) -> Tensor:
        """What the model reads of sentences, (X, F), from their words' ids (X, W), padded at the end with -1."""

    @abstractmethod
    def forward(self, asked: Asked, straight: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores of all words as the answer, (R, B, V), and each hop's weights (R, B, S), if there are hops.

        Restarts that are `straight` (R, 1, 1) attend without the softmax.
        """

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw the parameters of restart r, ~ N(0, init_std^2) [P]; they depend on its seed alone, seed + r."""
        for restart in range(self.restarts):
            generator = torch.Generator().manual_seed(seed + restart)
            for parameter in self.parameters():
                values = torch.empty(parameter.shape[1:], dtype=parameter.dtype)
                parameter[restart] = values.normal_(std=self.init_std, generator=generator)

    @torch.no_grad()
    def take(self, restart: int, into: "Answerer") -> None:
        """Copy a restart's parameters into a model of one restart."""
        for ours, theirs in zip(self.parameters(), into.parameters(), strict=True):
            theirs.copy_(ours[restart : restart + 1])

    @property
    def parameter_count(self) -> int:
        """Number of weights of a restart, those that are shared counted once."""
        return sum(p[0].numel() for p in self.parameters())


class MemoryAnswerer(Answerer):
    """The end-to-end memory network over a story's sentences.

    Adjacent tying: K+1 embeddings, where hop k's memory is embedded by number k for matching and k+1 for reading, the
    question by the first, and the last is the output layer. Layer-wise tying: embeddings A and C and the transition H
    for all hops, an embedding B for the question and an output layer W. Temporal encodings are tied as the
    memories' are.
    """

    def __init__(self, config: AnswererConfig, vocabulary_size: int, restarts: int) -> None:
        super().__init__()
        R, V, T, D = restarts, vocabulary_size, config.memory_size, config.units
        self.config, self.restarts, self.vocabulary_size = config, R, V
        self.memory_size, self.init_std = T, config.init_std
        self.layerwise = config.tying == "layerwise"
        tables = 2 if self.layerwise else config.hops + 1
        self.embeddings = nn.ParameterList(torch.empty(R, V, D) for _ in range(tables))
        self.times = nn.ParameterList(torch.empty(R, T, D) for _ in range(tables if config.temporal_encoding else 0))
        self.question = nn.Parameter(torch.empty(R, V, D)) if self.layerwise else None
        self.transition = nn.Parameter(torch.empty(R, D, D)) if self.layerwise else None
        self.output = nn.Parameter(torch.empty(R, V, D)) if self.layerwise else None
        self.pairs = [(0, 1)] * config.hops if self.layerwise else list(pairwise(range(config.hops + 1)))

    def prepare(self, words: Tensor) -> Tensor:
        """Weights of the words in each sentence's sum, (X, V) or, with position encoding, (X, 2V)."""
        encoded = self.config.sentences == "pe"
        weights = sentence_weights(words, self.vocabulary_size, position_encoding=encoded)
        if encoded:
            weights *= self.config.position_scale
        return weights.to(self.embeddings[0].dtype)

    def forward(self, asked: Asked, straight: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (R, B, V), and each hop's weights (R, B, S)."""
        D = self.config.units
        stack = torch.cat([*self.embeddings], dim=2)  # (R, V, tables * D)
        weighed = self._by_place(stack)
        asks = torch.split(weighed, D, dim=2)[0] if self.question is None else self._by_place(self.question)
        u = asked.questions @ asks  # (R, B, D)
        table = torch.bmm(asked.sentences, weighed)  # (R, P, tables * D)
        places = asked.stories.unsqueeze(2)
        if self.times:
            table = torch.cat([table, torch.cat([*self.times], dim=2)], dim=1)
            places = torch.stack([asked.stories, asked.times + asked.sentences.shape[1]], dim=2)
        memories = [Stories(part, places) for part in torch.split(table, D, dim=2)]
        linear = 0 if self.config.relu else D
        null = self.config.null_memory
        hops = Hops(memories, self.pairs, self.transition, linear, asked.filled, null, straight)
        state, attention = hops(u)
        output = self.embeddings[-1] if self.output is None else self.output
        return torch.bmm(state, output.mT), attention

    def _by_place(self, embedding: Tensor) -> Tensor:
        """(R, F, ...) from (R, V, ...): with position encoding, once as it is and once times -k/d."""
        if self.config.sentences == "bow":
            return embedding
        D = self.config.units
        rise = torch.arange(1, D + 1, device=embedding.device, dtype=embedding.dtype) / D  # k/d, k = 1 ... d
        return torch.cat([embedding, embedding * -rise.repeat(embedding.shape[2] // D)], dim=1)


def sentence_weights(words: Tensor, vocabulary_size: int, *, position_encoding: bool) -> Tensor:
    """How much each word counts in sentences (X, W): (X, V), or (X, 2V) with position encoding, in float64.

    Word j of a sentence of J counts l_kj = (1 - j/J) - (k/d)(1 - 2j/J) in unit k [P]: the sum over its words is
    weights[:, :V] @ A - (k/d) * (weights[:, V:] @ A). In a bag of words each counts 1.
    """
    there = (words >= 0).double()
    hot = one_hot(words.clamp_min(0), vocabulary_size) * there.unsqueeze(2)  # (X, W, V)
    if not position_encoding:
        return hot.sum(1)
    j = torch.arange(1, words.shape[1] + 1, device=words.device)
    place = j / there.sum(1, keepdim=True).clamp_min(1)  # (X, W), j/J
    parts = [(weight.unsqueeze(2) * hot).sum(1) for weight in (1 - place, 1 - 2 * place)]
    return torch.cat(parts, dim=1)
