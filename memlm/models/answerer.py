"""Models that answer questions about stories. R restarts with separate weights are one computation.

R restarts, B questions, S memory slots, W words per sentence, X or P different sentences, F values per prepared
sentence, J words of one sentence, K hops, D units, V words; T = S times.
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


class QuestionBatch(NamedTuple):
    """Questions with their stories, for every restart. A slot that is not `filled` has no sentence.

    `sentences` are the different sentences of the stories. A restart with fewer is padded with arbitrary ones.
    Sentences and `questions` are prepared by `Answerer.prepare`.
    """

    sentences: Tensor  # (R, P, F)
    stories: Tensor  # (R, B, S), row numbers in `sentences`; arbitrary if the slot is empty
    times: Tensor  # (R, B, S), age of each slot, below memory_size; 0 is the most recent
    filled: Tensor  # (R, B, S), bool
    questions: Tensor  # (R, B, F)


class Answerer(StoredModel, ABC):
    """A model that answers questions. Each parameter has a first dimension R. Restarts share no weights."""

    restarts: int
    memory_size: int  # sentences of a story that the model reads
    init_std: float

    @abstractmethod
    def prepare(self, words: Tensor) -> Tensor:
        """Prepare sentences for the model: (X, F) from the ids of their words (X, W), padded at the end with -1."""

    @abstractmethod
    def forward(self, batch: QuestionBatch, linear_start: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (R, B, V) of all words as the answer, and the attention weights (R, B, S) of each hop, if any.

        Restarts with `linear_start` (R, 1, 1) attend without the softmax.
        """

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw the parameters of restart r ~ N(0, init_std^2) [P]. They depend only on its seed, seed + r."""
        for restart in range(self.restarts):
            generator = torch.Generator().manual_seed(seed + restart)
            for parameter in self.parameters():
                values = torch.empty(parameter.shape[1:], dtype=parameter.dtype)
                parameter[restart] = values.normal_(std=self.init_std, generator=generator)

    @torch.no_grad()
    def extract(self, restart: int, into: "Answerer") -> None:
        """Copy the parameters of a restart into a model with one restart."""
        for ours, theirs in zip(self.parameters(), into.parameters(), strict=True):
            theirs.copy_(ours[restart : restart + 1])

    @property
    def parameter_count(self) -> int:
        """Number of weights of one restart. Shared weights count once."""
        return sum(p[0].numel() for p in self.parameters())


class MemoryAnswerer(Answerer):
    """The end-to-end memory network over the sentences of a story.

    Adjacent tying: there are K+1 embeddings. Hop k matches with embedding k and reads with embedding k+1. The first
    also embeds the question, and the last is also the output layer. Layer-wise tying: all hops share the embeddings A
    and C and the transition H; the question has an embedding B, and the output layer is W. Temporal encodings are tied
    like the embeddings of the memories.
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
        """The weights of the words in the sum of each sentence: (X, V), or (X, 2V) with position encoding."""
        encoded = self.config.sentences == "pe"
        weights = sentence_weights(words, self.vocabulary_size, position_encoding=encoded)
        if encoded:
            weights *= self.config.position_scale
        return weights.to(self.embeddings[0].dtype)

    def forward(self, batch: QuestionBatch, linear_start: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (R, B, V), and the attention weights (R, B, S) of each hop."""
        D = self.config.units
        stack = torch.cat([*self.embeddings], dim=2)  # (R, V, tables * D)
        weighed = self._by_place(stack)
        asks = torch.split(weighed, D, dim=2)[0] if self.question is None else self._by_place(self.question)
        u = batch.questions @ asks  # (R, B, D)
        table = torch.bmm(batch.sentences, weighed)  # (R, P, tables * D)
        places = batch.stories.unsqueeze(2)
        if self.times:
            table = torch.cat([table, torch.cat([*self.times], dim=2)], dim=1)
            places = torch.stack([batch.stories, batch.times + batch.sentences.shape[1]], dim=2)
        memories = [Stories(part, places) for part in torch.split(table, D, dim=2)]
        linear = 0 if self.config.relu else D
        null = self.config.null_memory
        hops = Hops(memories, self.pairs, self.transition, linear, batch.filled, null, linear_start)
        state, attention = hops(u)
        output = self.embeddings[-1] if self.output is None else self.output
        return torch.bmm(state, output.mT), attention

    def _by_place(self, embedding: Tensor) -> Tensor:
        """(R, F, ...) from (R, V, ...). With position encoding: the embedding, then the embedding times -k/d."""
        if self.config.sentences == "bow":
            return embedding
        D = self.config.units
        rise = torch.arange(1, D + 1, device=embedding.device, dtype=embedding.dtype) / D  # k/d, k = 1 ... d
        return torch.cat([embedding, embedding * -rise.repeat(embedding.shape[2] // D)], dim=1)


def sentence_weights(words: Tensor, vocabulary_size: int, *, position_encoding: bool) -> Tensor:
    """The weight of each word in sentences (X, W): (X, V), or (X, 2V) with position encoding, in float64.

    With position encoding, word j of a sentence of J words has the weight l_kj = (1 - j/J) - (k/d)(1 - 2j/J) in unit k
    [P]. The sum over the words is weights[:, :V] @ A - (k/d) * (weights[:, V:] @ A). In a bag of words each weight is
    1.
    """
    there = (words >= 0).double()
    hot = one_hot(words.clamp_min(0), vocabulary_size) * there.unsqueeze(2)  # (X, W, V)
    if not position_encoding:
        return hot.sum(1)
    j = torch.arange(1, words.shape[1] + 1, device=words.device)
    place = j / there.sum(1, keepdim=True).clamp_min(1)  # (X, W), j/J
    parts = [(weight.unsqueeze(2) * hot).sum(1) for weight in (1 - place, 1 - 2 * place)]
    return torch.cat(parts, dim=1)
