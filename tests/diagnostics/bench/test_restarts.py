"""Restarts side by side: the step trains all of them, and the ratio is by hand."""

import torch

from memlm.config.models import MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.diagnostics.bench import cases, restarts

MODEL = MemN2NConfig(hops=2, memory_size=5, units=6)
TRAIN = TrainConfig(batch_size=16, chunk_length=4, precision="float32")


def test_ten_alone_against_ten_together():
    assert restarts.speedups({"restart_alone": 0.3, "restarts": 1.5}) == {"lm_restarts_speedup": 2.0}


def test_a_step_can_be_called_again_and_again():
    steps = restarts.steps(MODEL, TRAIN, cases.zipf_tokens(40, 200), 40, torch.device("cpu"))
    assert set(steps) == {"restart_alone", "restarts"}
    for step in steps.values():
        for _ in range(14):  # more than there are batches in an epoch
            step()
