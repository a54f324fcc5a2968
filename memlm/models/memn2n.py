"""The end-to-end memory network as a language model: the N words before the target are the memory.

B rows, L targets in a row, N memory slots, M = L+N-1 words, K hops, D units, V words.
Sources: [P] Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2.2 and 5;
[C] its code, https://github.com/facebookarchive/MemNN.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from memlm.config import MemN2NConfig
from memlm.models.base import LanguageModel, State
from memlm.models.head import SoftmaxHead
from memlm.models.memory import SlidingWindows, hop, windows_filled


class MemN2N(LanguageModel):
    """Layer-wise tying: embeddings A and C and the transition H for all hops, and an output layer of its own.

    Adjacent tying: K+1 embeddings, where hop k's memory is embedded by number k for matching and k+1 for reading, and
    the last is the output layer too. Temporal encodings are tied as the embeddings are. There is no question: the
    first state is a constant. A slot before the start of the text is empty and can't be attended to.
    """

    carries_state = False

    def __init__(self, config: MemN2NConfig, vocabulary_size: int) -> None:
        super().__init__()
        V, N, D = vocabulary_size, config.memory_size, config.units
        self.config = config.resolved()
        self.context_size = self.memory_size = N
        self.layerwise = config.tying == "layerwise"
        tables = 2 if self.layerwise else config.hops + 1
        self.embeddings = nn.ParameterList(torch.empty(V, D) for _ in range(tables))
        self.times = nn.ParameterList(torch.empty(N, D) for _ in range(tables if config.temporal_encoding else 0))
        self.transition = nn.Parameter(torch.empty(D, D)) if self.layerwise else None
        output = nn.Parameter(torch.empty(V, D)) if self.layerwise else self.embeddings[-1]
        self.head = SoftmaxHead(output, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Every parameter ~ N(0, init_std^2) [C]."""
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=self.config.init_std, generator=generator)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) of the targets of inputs (B, M)."""
        return self._hop(inputs)[0], None

    def attention(self, inputs: Tensor) -> Tensor:
        """Weights (K, B, L, N) of the slots, oldest first, for the targets of inputs (B, M)."""
        return torch.stack(self._hop(inputs)[1])

    def _hop(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        B, M = inputs.shape
        N = self.config.memory_size
        filled = None
        if inputs.is_cuda or int(inputs.min()) < 0:  # asking CUDA would stop it: mask without asking
            filled = windows_filled(inputs >= 0, N)
            inputs = inputs.clamp_min(0)
        memories = [self._memory(inputs, i) for i in range(len(self.embeddings))]
        hops = [(memories[0], memories[1])] * self.config.hops if self.layerwise else list(pairwise(memories))
        u = memories[0].words.new_full((B, M - N + 1, self.config.units), self.config.initial_state)
        linear = self.config.linear_units
        assert linear is not None
        return hop(u, hops, filled=filled, transition=self.transition, linear=linear)

    def _memory(self, inputs: Tensor, table: int) -> SlidingWindows:
        # Sparse gradients: a step touches only the rows of the words that it saw.
        words = nn.functional.embedding(inputs, self.embeddings[table], sparse=True)
        times = self.times[table] if self.config.temporal_encoding else None
        return SlidingWindows(words, times, self.config.memory_size)
