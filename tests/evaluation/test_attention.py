"""Attention: that of a text, and its average over a split, against slow loops over the paper's oracle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import memlm as package
from memlm.data import dataset
from memlm.evaluation import attention
from memlm.evaluation.attention import Attention
from memlm.inference.load import load_text
from memlm.models.memn2n import MemN2N
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.tiny_models import K, N, V, make_memn2n, oracle_weights
from tests.oracles import memn2n as oracle_memn2n

TEXT = "a0 b0 c0 d\na1 b1 unheard d\na2 b2 c2"


def by_oracle(model: MemN2N, tokens: np.ndarray, target: int) -> np.ndarray:
    """The attention (K, N) to predict the word at `target`."""
    window = [int(tokens[place]) if place >= 0 else -1 for place in range(target - N, target)]
    return oracle_memn2n.attention_of_window(
        window, oracle_weights(model), hops=K, linear_units=3, tying=model.config.tying
    )


@pytest.fixture
def trained(memlm: Memlm, corpus: Path) -> package.TrainedModel:
    result = memlm("train", "--dataset", corpus, *SMALL, "--lr", 0.05, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    return load_text("runs/a")


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_target_weights_agrees_with_the_oracle(tying: str, generator: torch.Generator, rng: np.random.Generator):
    model = make_memn2n(tying, generator)
    tokens = rng.integers(V, size=N + 5).astype(np.int32)
    targets = [0, 1, N, 3, len(tokens)]
    ours = attention.target_weights(model, tokens, targets)
    assert ours.shape == (K, len(targets), N)
    for t, target in enumerate(targets):
        np.testing.assert_allclose(ours[:, t], by_oracle(model, tokens, target), atol=1e-12)
    empty = N - np.minimum(targets, N)
    for t, slots in enumerate(empty):
        assert not ours[:, t, :slots].any()
    np.testing.assert_allclose(ours[:, 1:].sum(axis=2), 1)


def test_target_weights_does_not_depend_on_the_block(
    generator: torch.Generator, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
):
    model = make_memn2n("layerwise", generator)
    tokens = rng.integers(V, size=50).astype(np.int32)
    whole = attention.target_weights(model, tokens, range(51))
    monkeypatch.setattr(attention, "WINDOWS_AT_ONCE", 7)
    np.testing.assert_allclose(attention.target_weights(model, tokens, range(51)), whole, atol=1e-12)


@pytest.mark.parametrize("targets_at_once", [1, 5, 32, 200])
@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_the_average_is_that_of_a_slow_loop(
    tying: str, targets_at_once: int, generator: torch.Generator, rng: np.random.Generator
):
    model = make_memn2n(tying, generator)
    tokens = rng.integers(V, size=90).astype(np.int32)
    ticks: list[tuple[int, int]] = []
    ours = attention.average(
        model, tokens, targets_at_once=targets_at_once, tick=lambda done, total: ticks.append((done, total))
    )
    expected = np.mean([by_oracle(model, tokens, target) for target in range(N, 90)], axis=0)
    np.testing.assert_allclose(ours.weights, expected, atol=1e-12)
    assert ours.targets == 90 - N
    assert ticks[-1] == (90 - N, 90 - N)
    np.testing.assert_allclose(attention.average(model.float(), tokens).weights, expected, atol=1e-6)


def test_a_sample_lies_evenly_over_the_text(
    generator: torch.Generator, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
):
    model = make_memn2n("layerwise", generator)
    tokens = rng.integers(V, size=300).astype(np.int32)
    seen: list[int] = []
    blocks = attention._blocks

    def watched(model, tokens, spans):
        seen.extend(int(start) for span in spans for start in span.starts)
        return blocks(model, tokens, spans)

    monkeypatch.setattr(attention, "_blocks", watched)
    ours = attention.average(model, tokens, at_most=96)
    assert seen == [N, (N + 300 - 32) // 2, 300 - 32]
    targets = [start + i for start in seen for i in range(32)]
    assert ours.targets == len(targets)
    expected = np.mean([by_oracle(model, tokens, target) for target in targets], axis=0)
    np.testing.assert_allclose(ours.weights, expected, atol=1e-12)


def test_a_text_that_never_fills_the_memory_has_no_average(generator: torch.Generator):
    model = make_memn2n("layerwise", generator)
    with pytest.raises(
        package.MemlmError, match=f"has {N} tokens, too few for a prediction with a full memory of {N}"
    ):
        attention.average(model, np.zeros(N, np.int32))
    assert attention.picture(model, np.zeros(N, np.int32), 1) is None
    assert attention.average(model, np.zeros(N + 1, np.int32)).targets == 1


def test_attend_is_what_the_next_word_says(trained: package.TrainedModel):
    attended = trained.attend(TEXT)
    words = ["a0", "b0", "c0", "d", "<eos>", "a1", "b1", "unheard", "d", "<eos>", "a2", "b2", "c2"]
    assert attended.words == words
    assert [word for word, unknown in zip(words, attended.unknown, strict=True) if unknown] == ["unheard"]
    assert attended.targets == list(range(len(words) + 1))
    assert attended.weights.shape == (2, 14, 8)
    assert [attended.label(place) for place in (7, 8, 13)] == ["unheard (<unk>)", "d", "(next word)"]
    for t in range(14):
        before = " ".join(words[:t]).replace("<eos>", "\n")
        after = trained.next_word(before)
        first, weights = attended.past(t)
        assert after.attention is not None
        assert weights.shape == after.attention.shape
        np.testing.assert_allclose(weights, after.attention, rtol=1e-5, atol=1e-7)
        seen = ["<unk>" if word == "unheard" else word for word in words[first:t]]
        assert after.memory == seen
        if t:
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_chosen_targets_are_those_of_all(trained: package.TrainedModel):
    every, chosen = trained.attend(TEXT), trained.attend(TEXT, targets=[13, 2])
    assert chosen.targets == [13, 2]
    np.testing.assert_allclose(chosen.weights, every.weights[:, [13, 2]], rtol=1e-5, atol=1e-7)
    for targets in ([], [14], [-1, 2]):
        with pytest.raises(package.MemlmError, match="they must be from 0 to 13, which is the word after the text"):
            trained.attend(TEXT, targets=targets)
    with pytest.raises(package.MemlmError, match="the text is empty"):
        trained.attend(" ")


def test_the_average_over_a_split_is_the_mean_of_its_words(trained: package.TrainedModel, corpus: Path):
    text = (corpus / "valid.txt").read_text()
    average = trained.average_attention("valid")
    weights = trained.attend(text).weights[:, 8:-1]  # with a full memory, up to the last word of the split
    assert average.targets == weights.shape[1] == 92
    np.testing.assert_allclose(average.weights, weights.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_pieces_keep_the_order_and_the_sum(count: int, rng: np.random.Generator):
    weights = rng.dirichlet(np.full(6, 0.3), size=2)[:, None, :]
    words = [f"w{i}" for i in range(9)]
    attended = Attention(words=words, unknown=[False] * 9, targets=[9], weights=weights)
    pieces = attended.past_words(0, count)
    np.testing.assert_allclose(sum(piece.weights for piece in pieces), 1)
    assert sum(piece.words for piece in pieces) == 6
    labels = [piece.label for piece in pieces if piece.words == 1]
    assert labels == sorted(labels)
    best = {f"w{3 + i}" for i in np.argsort(-weights[:, 0].sum(axis=0))[:count]}
    assert best <= set(labels)
    assert all(piece.label == f"({piece.words} words)" for piece in pieces if piece.words > 1)


def test_a_model_without_a_memory_is_refused(memlm: Memlm, corpus: Path):
    assert (
        memlm("train", "--dataset", corpus, "--model", "lstm", "--max-steps", 1, "--run-dir", "runs/b").exit_code == 0
    )
    lstm = package.load("runs/b")
    ask: Callable[[], object]
    for ask in (lambda: lstm.attend("a0"), lstm.average_attention):
        with pytest.raises(
            package.MemlmError, match=r"runs/b is a run of lstm-1x100, which has no memory to attend to"
        ):
            ask()
    tokens = dataset.load_dataset(str(corpus)).splits["valid"].tokens
    assert attention.picture(lstm.model, tokens, 1) is None
