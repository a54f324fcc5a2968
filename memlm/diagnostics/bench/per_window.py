"""The per-window formulation of MemN2N, as in the reference code and its ports: the baseline of `memlm bench`.

Each target gathers its own copy of N words and has its own attention. Autograd computes the gradients. It is plain and
slow. The sliding windows must give the same values and gradients (tests/models/test_memn2n.py).

B rows, L targets per row, N memory slots, M = L+N-1 words, D units.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import embedding

from memlm.models.memn2n import MemN2N


def hidden_states(model: MemN2N, inputs: Tensor) -> Tensor:
    """The hidden states (B, L, D) of the targets of inputs (B, M), from the model's parameters."""
    config = model.config
    windows = inputs.unfold(1, config.memory_size, 1)  # (B, L, N)
    filled = windows >= 0 if bool((inputs < 0).any()) else None
    slots = [_slots(model, windows, i) for i in range(len(model.embeddings))]
    pairs = [(slots[0], slots[1])] * config.hops if model.layerwise else pairwise(slots)
    u = slots[0].new_full((*windows.shape[:2], config.units), config.initial_state)
    for matched, read in pairs:
        p = _softmax((matched @ u[..., None]).squeeze(-1), filled)  # (B, L, N)
        o = (p[..., None, :] @ read).squeeze(-2)  # (B, L, D)
        z = o + (u if model.transition is None else u @ model.transition.t())
        u = torch.cat([z[..., : config.linear_units], z[..., config.linear_units :].relu()], dim=-1)
    return u


def _slots(model: MemN2N, windows: Tensor, table: int) -> Tensor:
    words = embedding(windows.clamp_min(0), model.embeddings[table])  # (B, L, N, D)
    return words + model.times[table] if len(model.times) else words


def _softmax(scores: Tensor, filled: Tensor | None) -> Tensor:
    if filled is None:
        return scores.softmax(-1)
    return scores.masked_fill(~filled, -1e30).softmax(-1) * filled
