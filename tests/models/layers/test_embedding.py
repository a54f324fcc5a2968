"""Lookups of words and their gradients, against PyTorch's embedding.

R restarts, V words, D units.
"""

import pytest
import torch
from torch.nn.functional import embedding

from memlm import kernels
from memlm.models.layers.embedding import embed

R, V = 3, 10
IDS = torch.tensor([[1, 7, 1], [0, 9, 7]])


@pytest.fixture(params=["kernels", "pytorch"])
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled kernels where they are there, and without them."""
    if request.param == "pytorch":
        monkeypatch.setattr(kernels, "_library", lambda: None)


@pytest.mark.usefixtures("computed_by")
@pytest.mark.parametrize("restarts", [(), (R,)])
@pytest.mark.parametrize("units", [4, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_pytorch(
    restarts: tuple[int, ...], units: int, dtype: torch.dtype, generator: torch.Generator
):
    draws = [torch.randn(*restarts, V, units, generator=generator) for _ in range(2)]
    tables = [draw.to(dtype).requires_grad_() for draw in draws]
    ids = IDS + torch.tensor([[0], [V * (len(restarts) and R - 1)]])  # the second row is of the last restart
    found = embed(ids, tables)
    expected = [embedding(ids, table.flatten(0, -2)) for table in tables]
    loss = [torch.linspace(-1, 1, rows.numel(), dtype=dtype).view_as(rows) for rows in found]
    grads = torch.autograd.grad(found, tables, loss)
    for ours, theirs, grad, wanted in zip(
        found, expected, grads, torch.autograd.grad(expected, tables, loss), strict=True
    ):
        assert torch.equal(ours, theirs)
        assert grad.is_sparse
        assert grad.shape == wanted.shape
        assert grad.is_coalesced()
        torch.testing.assert_close(grad.to_dense(), wanted)


def test_only_words_that_were_seen_have_a_row():
    table = torch.ones(V, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(embed(IDS, [table])[0].sum(), table)
    assert grad.indices().tolist() == [[0, 1, 7, 9]]
    assert grad.values()[:, 0].tolist() == [1, 2, 2, 1]


def test_without_gradients_the_rows_alone():
    with torch.no_grad():
        (rows,) = embed(IDS, [torch.eye(V, requires_grad=True)])
    assert not rows.requires_grad
    assert rows.argmax(-1).tolist() == IDS.tolist()
