"""The compiled kernels as a whole: that they are there, that they agree with PyTorch, and their version."""

import ctypes
import shutil
import sys

import numpy as np
import pytest
import torch

from memlm import kernels
from memlm.config.models import MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.errors import MemlmError
from memlm.kernels.hops import WindowHops
from memlm.kernels.softmax import losses
from memlm.models.build import build_initialised
from memlm.models.layers import softmax
from memlm.training.text import SingleLearner
from tests.helpers.compiled import compiled
from tests.helpers.window_hops import taken


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="no C compiler")
def test_an_installation_with_a_compiler_has_the_kernels():
    assert kernels.fits(), "memlm/kernels is not compiled: run `pip install --editable .` again"


@compiled
def test_results_do_not_depend_on_the_number_of_threads(generator: torch.Generator):
    ids, tables = torch.arange(7 * 24).view(7, 24) % 50, [torch.randn(50, 19, generator=generator) for _ in range(2)]
    times = [torch.randn(20, 19, generator=generator) for _ in range(2)]
    hops = WindowHops(ids, tables, times, 20, [(0, 1)] * 3, torch.randn(19, 19, generator=generator), 9, None)
    logits = torch.randn(9, 101, generator=generator)
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            of_logits = logits.clone()
            nats = losses(of_logits, torch.arange(9), gradient=True)
            results.append([*taken(hops, torch.ones(7, 5, 19), exact=False)[:7], nats, of_logits])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@compiled
@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_training_without_kernels_is_the_same_up_to_rounding(tying: str, monkeypatch: pytest.MonkeyPatch):
    model = MemN2NConfig(hops=2, memory_size=6, units=8, tying=tying, init_std=0.5)
    train = TrainConfig(batch_size=8, chunk_length=4, precision="float32", device="cpu", lr=0.1)
    tokens = np.arange(300, dtype=np.int32) % 17
    weights = []
    for library in (kernels._library, lambda: None):
        monkeypatch.setattr(kernels, "_library", library)
        training = SingleLearner(
            build_initialised(model, vocabulary_size=17, eos=0, seed=1), train, torch.device("cpu")
        )
        for span in plan_epoch(train, len(tokens), 0)[:5]:
            training.step(gather(tokens, span, training.model.context_size))
        weights.append(list(training.model.parameters()))
    for ours, theirs in zip(*weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@compiled
def test_a_library_of_another_version_is_refused():
    job = type("Longer", (kernels.Job,), {"_fields_": [("x", ctypes.c_long)]})()
    with pytest.raises(MemlmError, match="another version"):
        kernels.call("memlm_softmax", job)
    with pytest.raises(MemlmError, match="another version"):
        kernels.call("memlm_unknown", job)


def test_without_kernels_pytorch_does_the_same(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator):
    rows, weight = torch.randn(5, 7, generator=generator), torch.randn(30, 7, generator=generator)
    targets = torch.tensor([0, 3, 29, 7, 7])
    ours = softmax.gradients(rows, targets, weight, None, torch.float32)
    monkeypatch.setattr(kernels, "_library", lambda: None)
    assert not kernels.fits(rows)
    theirs = softmax.gradients(rows, targets, weight, None, torch.float32)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(a, b)
    assert kernels.described() == "none: PyTorch alone"
