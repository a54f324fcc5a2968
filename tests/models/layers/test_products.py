"""Products of matrices, by oneDNN where it can and by PyTorch elsewhere."""

import pytest
import torch
from torch import Tensor

from memlm.models.layers import products
from memlm.models.layers.products import linear, product


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator)


@pytest.fixture(params=["as it is here", "without oneDNN"])
def operator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without oneDNN":
        monkeypatch.setattr(products, "_ONEDNN", None)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_is_that_of_float64(
    dtype: torch.dtype, batch: tuple[int, ...], transposed: bool, generator: torch.Generator
):
    a, b = draw(generator, *batch, 5, 7).to(dtype), draw(generator, *batch, 7, 9).to(dtype)
    b = b.mT.contiguous().mT if transposed else b
    found = product(a, b)
    assert found.dtype == dtype
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.double(), a.double() @ b.double(), rtol=0, atol=tolerance)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("biased", [False, True])
def test_a_linear_layer_is_the_same_with_and_without_gradients(biased: bool, generator: torch.Generator):
    rows, weight = draw(generator, 5, 7).requires_grad_(), draw(generator, 9, 7)
    drawn = draw(generator, 9)
    bias = drawn.clone() if biased else None
    differentiable = linear(rows, weight, bias)
    with torch.no_grad():
        plain = linear(rows, weight, bias)
    assert differentiable.requires_grad
    assert not plain.requires_grad
    torch.testing.assert_close(differentiable.detach(), plain)
    expected = rows @ weight.T + (0 if bias is None else bias)
    torch.testing.assert_close(plain, expected.detach())
    assert bias is None or torch.equal(bias, drawn)  # added to the result, not to the bias
