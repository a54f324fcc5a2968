"""The loss of a softmax, and its gradient, in one pass over the logits."""

import torch
from torch import Tensor

from memlm import kernels


class _Job(kernels.Job):
    """`struct softmax` of kernels.c."""

    _fields_ = (
        *kernels.pointers("logits", "targets", "nats"),
        *kernels.numbers("rows", "classes", "gradient", "low"),
    )


def losses(logits: Tensor, targets: Tensor, *, gradient: bool) -> Tensor:
    """-log p of targets (...) in float32: (..., K) -> (...). The logits become the gradient, if it is wanted.

    They are float32 or bfloat16; what is computed of them is in float32. Raises IndexError for targets not below K.
    """
    assert targets.shape == logits.shape[:-1]
    job, nats = _Job(), logits.new_empty(targets.shape, dtype=torch.float32)
    job.set(logits=logits, targets=kernels.indices(targets, logits.shape[-1]), nats=nats)
    job.set(rows=targets.numel(), classes=logits.shape[-1], gradient=gradient)
    job.set(low=logits.dtype == torch.bfloat16)
    kernels.call("memlm_softmax", job)
    return nats
