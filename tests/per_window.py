"""The per-window formulation of a memory of words, as [C] and its ports have it: each target gathers its own N words.

Slow and plain: what the sliding windows of memlm.models.memory must equal, values and gradients.
"""

import torch
from torch import Tensor


class GatheredWindows:
    """Slots (B, L, N, D), a copy of each word for every target that sees it."""

    def __init__(self, words: Tensor, times: Tensor | None, slots: int) -> None:
        windows = words.unfold(1, slots, 1).transpose(2, 3)  # (B, L, D, N) -> (B, L, N, D)
        self.slots = windows if times is None else windows + times

    def match(self, u: Tensor) -> Tensor:
        return torch.einsum("bld,blnd->bln", u, self.slots)

    def read(self, p: Tensor) -> Tensor:
        return torch.einsum("bln,blnd->bld", p, self.slots)
