"""Equality up to the rounding of float64."""

import torch
from torch import Tensor


def assert_close(found: Tensor, wanted: Tensor) -> None:
    """Both are float64, and equal up to rounding."""
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
