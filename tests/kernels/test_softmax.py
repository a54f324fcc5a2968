"""The compiled softmax loss against PyTorch in float64, at each vector length that this machine has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlm.kernels.softmax import losses
from tests.helpers.compiled import compiled


@compiled
@pytest.mark.parametrize("bad", [-1, 4])
def test_a_target_that_is_no_class_is_refused(bad: int):
    with pytest.raises(IndexError, match="not from 0 to 3"):
        losses(torch.zeros(2, 4), torch.tensor([0, bad]), gradient=True)


@compiled
@pytest.mark.usefixtures("floats")
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 5),
    classes=st.integers(1, 70),
    size=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_losses_and_their_gradients_are_those_of_pytorch(rows: int, classes: int, size: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator) * size
    targets = torch.randint(classes, (rows,), generator=generator)
    exact = logits.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(exact, targets, reduction="none")
    (expected_grad,) = torch.autograd.grad(expected.sum(), exact)
    found = logits.clone()
    nats = losses(found, targets, gradient=True)
    torch.testing.assert_close(nats.double(), expected.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.double(), expected_grad, rtol=0, atol=1e-6)
    assert torch.equal(losses(logits.clone(), targets, gradient=False), nats)


@compiled
@pytest.mark.usefixtures("floats")
def test_bfloat16_logits_are_rounded_once(generator: torch.Generator):
    logits, targets = (torch.randn(4, 67, generator=generator) * 5).bfloat16(), torch.tensor([0, 3, 66, 3])
    wide, low = logits.float(), logits.clone()
    assert torch.equal(losses(low, targets, gradient=True), losses(wide, targets, gradient=True))
    assert torch.equal(low, wide.bfloat16())


@compiled
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 3, 16])
def test_what_is_not_finite_shows_in_the_loss(bad: float, place: int, floats: int):
    logits = torch.zeros(1, 17)
    logits[0, place] = bad
    assert losses(logits, torch.tensor([5]), gradient=True).isnan().all()


@compiled
@pytest.mark.usefixtures("floats")
@pytest.mark.parametrize("classes", [512, (2**26 + 1) // 265])
def test_exact_halves_are_rounded_to_even(classes: int):
    """Of equal logits: 1/512 - 1 lies between two numbers of bfloat16 and goes up, 265/2^26 goes down."""
    wide, target = torch.zeros(1, classes), torch.tensor([0])
    low = wide.bfloat16()
    for logits in (wide, low):
        losses(logits, target, gradient=True)
    assert ((wide.view(torch.int32) & 0xFFFF) == 0x8000).any()  # so that this test can fail
    assert torch.equal(low, wide.bfloat16())
