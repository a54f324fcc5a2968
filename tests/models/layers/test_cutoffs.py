"""Cut-offs: the cheapest of all that there are, under a cost that is fitted to measurements."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch

from memlm.config.models import KneserNeyConfig, LSTMConfig, MemN2NConfig
from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.data.corpus import reading
from memlm.models.layers import cutoffs

CPU = torch.device("cpu")


def zipf(words: int) -> np.ndarray:
    return np.round(1e6 / np.arange(1, words + 1)).astype(np.int64)


def cost(words: float, targets: float) -> float:
    """A machine for which a call costs something, a weight that is updated more, and each product its share."""
    return 300 + 2 * words + 0.5 * words * targets


def expected(cut_at: tuple[int, ...], counts: np.ndarray, batch_size: int) -> float:
    """The cost of these cut-offs, summed cluster by cluster."""
    total = cost(cut_at[0] + len(cut_at), batch_size)
    for first, end in zip(cut_at, [*cut_at[1:], len(counts)], strict=True):
        targets = batch_size * counts[first:end].sum() / counts.sum()
        used = 1 - np.exp(-targets)
        total += used * cost(end - first, targets / used)
    return total


@pytest.mark.parametrize("shortlist", [0.0, 0.9])
@pytest.mark.parametrize(("most", "batch_size"), [(4, 128), (2, 700), (3, 4)])
def test_no_cut_offs_are_cheaper(most: int, batch_size: int, shortlist: float):
    counts = zipf(36)
    found = cutoffs.choose(counts, batch_size, cost, most=most, shortlist=shortlist)
    share = np.cumsum(counts) / counts.sum()
    allowed = [
        cut_at
        for clusters in range(1, most + 1)
        for cut_at in combinations(range(16, 36), clusters)
        if share[cut_at[0] - 1] >= shortlist
    ]
    assert found in allowed
    lowest = min(expected(cut_at, counts, batch_size) for cut_at in allowed)
    assert expected(found, counts, batch_size) == pytest.approx(lowest)


def test_more_words_are_cut_into_more_clusters():
    few, many = (cutoffs.choose(zipf(words), 128, cost, most=4) for words in (30, 200_000))
    assert len(few) == 1
    assert len(many) > 2
    assert list(many) == sorted(set(many))


@pytest.mark.parametrize("words", [2, 3, 17])
def test_the_smallest_vocabularies_can_be_cut(words: int):
    found = cutoffs.choose(zipf(words), 4, cost, most=4, shortlist=0.8)
    assert 0 < found[0] <= found[-1] < words


def test_words_that_never_occur_can_be_cut_off():
    counts = np.array([50, 30, 20, *[0] * 40])
    assert cutoffs.choose(counts, 8, cost, most=4, shortlist=1.0)[0] < len(counts)


@pytest.mark.parametrize(("units", "clusters"), [(16, 1), (200, 2), (512, 3)])
def test_no_cluster_that_is_chosen_has_next_to_no_units(units: int, clusters: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cutoffs, "measure", lambda *settings: cost)
    tokens = np.repeat(np.arange(5000), zipf(5000) // 200).astype(np.int32)
    model = MemN2NConfig(units=units)
    found = cutoffs.find(model, TrainConfig(), reading.id_counts(tokens, 5000), CPU).split(",")
    assert len(found) <= clusters
    assert np.mean(tokens < int(found[0])) >= cutoffs.SHORTLIST
    tied = dataclasses.replace(model, tying="adjacent")
    assert len(cutoffs.find(tied, TrainConfig(), reading.id_counts(tokens, 5000), CPU).split(",")) == 4


def test_counts_are_those_of_the_whole_text(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    monkeypatch.setattr(reading, "BLOCK", 7)
    tokens = rng.integers(5, size=100).astype(np.int32)
    assert reading.id_counts(tokens, 9).tolist() == np.bincount(tokens, minlength=9).tolist()


def test_a_fit_finds_the_weights_and_none_is_negative(rng: np.random.Generator):
    terms = rng.uniform(0.1, 2, size=(30, 4))
    true = np.array([0.5, 0.0, 2.0, 0.1])
    np.testing.assert_allclose(cutoffs.fit(terms / (terms @ true)[:, None]), true, atol=1e-12)
    assert cutoffs.fit(rng.normal(size=(30, 4))).min() >= 0


def test_the_measured_cost_grows_with_the_work():
    found = cutoffs.measure(64, 32, CPU, torch.float32)
    assert 0 < found(100, 1) <= found(1000, 1) <= found(1000, 30) < found(1_000_000, 1000)


@pytest.mark.parametrize(
    "model",
    [MemN2NConfig(), LSTMConfig(softmax="adaptive", cutoffs="3,9"), KneserNeyConfig()],
    ids=["full", "given", "kneser-ney"],
)
def test_nothing_is_measured_where_nothing_is_open(model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(cutoffs, "measure")
    sampling = TrainConfig(sampling="streams") if isinstance(model, LSTMConfig) else TrainConfig()
    config = Config(model=model, train=sampling)
    assert cutoffs.resolved(config, lambda: np.ones(20, np.int64), CPU) == config


def test_what_is_open_is_settled_for_the_text():
    config = Config(model=MemN2NConfig(softmax="adaptive"))
    tokens = np.repeat(np.arange(400), zipf(400) // 1000).astype(np.int32)
    found = cutoffs.resolved(config, lambda: reading.id_counts(tokens, 400), CPU)
    assert isinstance(found.model, MemN2NConfig)
    assert 16 <= found.model.cut_at[0] <= found.model.cut_at[-1] < 400
    assert dataclasses.replace(found, model=dataclasses.replace(found.model, cutoffs="")) == config
