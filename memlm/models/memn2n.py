"""The end-to-end memory network as a language model. The memory is the N words before the target.

B rows, L targets per row, N memory slots, M = L+N-1 words, K hops, D units, V words.
Sources: [P] Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895, sections 2.2 and 5;
[C] its code, https://github.com/facebookarchive/MemNN.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from memlm.config.models import MemN2NConfig
from memlm.kernels.hops import WindowHops
from memlm.models.base import LanguageModel, State
from memlm.models.layers.head import TrainableHead
from memlm.models.layers.output import output_layer
from memlm.models.layers.windows import hop


class MemN2N(LanguageModel):
    """A memory network over the previous words.

    Layer-wise tying: all hops share the embeddings A and C and the transition H, and the output layer is separate.
    Adjacent tying: there are K+1 embeddings. Hop k matches with embedding k and reads with embedding k+1, and the last
    embedding is also the output layer. Temporal encodings are tied in the same way. There is no question, so the first
    state is a constant. A slot before the start of the text is empty and can't be attended to.
    """

    head: TrainableHead
    carries_state = False
    attends = True

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
        self.head = output_layer(config, V, bias=False, tied=None if self.layerwise else self.embeddings[-1])

    def draw_weights(self, values: Tensor, generator: torch.Generator) -> None:
        """Every weight ~ N(0, init_std^2) [C]."""
        nn.init.normal_(values, std=self.config.init_std, generator=generator)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Hidden states (B, L, D) for the targets of inputs (B, M)."""
        return self._hop(inputs)[0], None

    def attention(self, inputs: Tensor) -> Tensor:
        """Attention weights (K, B, L, N) for the targets of inputs (B, M), the oldest slot first."""
        return torch.stack(self._hop(inputs)[1])

    def rows(self, inputs: Tensor) -> Tensor:
        """The row numbers in the embeddings for the words of inputs (B, M)."""
        return inputs

    def _hop(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        config, (B, M) = self.config, inputs.shape
        filled = None
        if inputs.is_cuda or int(inputs.min()) < 0:  # `min` would wait for CUDA, so there the mask is always made
            filled = inputs >= 0
            inputs = inputs.clamp_min(0)
        pairs = [(0, 1)] * config.hops if self.layerwise else list(pairwise(range(config.hops + 1)))
        assert config.linear_units is not None
        hops = WindowHops(
            ids=self.rows(inputs),
            tables=list(self.embeddings),
            times=list(self.times),
            slots=config.memory_size,
            pairs=pairs,
            transition=self.transition,
            linear_units=config.linear_units,
            filled=filled,
        )
        first = self.embeddings[0].new_full((B, M - config.memory_size + 1, config.units), config.initial_state)
        return hop(hops, first)
