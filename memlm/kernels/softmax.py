"""The cross-entropy loss of a softmax and its gradient, in one pass over the logits."""

import torch
from torch import Tensor

from memlm import kernels


class _Job(kernels.Job):
    """`struct softmax` of kernels.c."""

    _fields_ = (
        *kernels.pointers("logits", "targets", "nats"),
        *kernels.numbers("rows", "classes", "wants_gradient", "is_bfloat16"),
    )


def losses(logits: Tensor, targets: Tensor, *, gradient: bool) -> Tensor:
    """-log p of targets (...) from logits (..., K), in float32. The gradient, if wanted, overwrites the logits.

    Logits are float32 or bfloat16; the computation is in float32. Raises IndexError for a target that is not below K.
    """
    assert targets.shape == logits.shape[:-1]
    job, nats = _Job(), logits.new_empty(targets.shape, dtype=torch.float32)
    job.set(logits=logits, targets=kernels.indices(targets, logits.shape[-1]), nats=nats)
    job.set(rows=targets.numel(), classes=logits.shape[-1], wants_gradient=gradient)
    job.set(is_bfloat16=logits.dtype == torch.bfloat16)
    kernels.call("memlm_softmax", job)
    return nats
