"""From Python: load a run, score a text, ask for the next word and what each hop looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch

import memlm as package
from memlm.data.corpus.reading import encode
from memlm.models.base import LanguageModel


def test_a_text_is_scored_as_a_split_is(trained: package.TrainedModel, corpus: Path):
    text = (corpus / "test.txt").read_text()
    assert trained.perplexity(text) == pytest.approx(trained.evaluate("test")["perplexity"])
    assert len(trained.token_nats("a0 unheard\nb1")) == 5
    with pytest.raises(package.MemlmError, match="the text is empty"):
        trained.perplexity("")


@pytest.mark.parametrize("context", ["", "a0", "a0 b0 c0 d\na1 b1", "a0 b0 c0 d\n", "a0 b0 c0 d\n" * 5])
def test_the_next_word_has_the_probability_that_scoring_gives_it(trained: package.TrainedModel, context: str):
    after = trained.next_word(context)
    assert after.probabilities.sum() == pytest.approx(1, abs=1e-5)
    (word, probability), *others = after.top(3)
    assert probability >= others[0][1]
    scored = trained.token_nats(context + " " + word)[-2]  # the last one is <eos>
    assert np.exp(-scored) == pytest.approx(probability, rel=1e-4)


def test_attention_is_over_the_words_of_the_memory(trained: package.TrainedModel):
    after = trained.next_word("a0 b0 c0 d\na1 b1")
    if trained.config.model.name != "memn2n":
        assert after.memory is None
        assert after.attention is None
        return
    assert after.memory == ["a0", "b0", "c0", "d", "<eos>", "a1", "b1"]
    assert after.attention is not None
    assert after.attention.shape == (2, 7)
    np.testing.assert_allclose(after.attention.sum(axis=1), 1, rtol=1e-5)


def test_hidden_states_are_those_that_the_tokens_are_predicted_from(trained: package.TrainedModel):
    text = "a0 b0 c0 d\na1 unheard c1 d\n" * 12  # longer than a chunk of windows
    model = trained.model
    if trained.config.model.name == "kneser-ney":
        with pytest.raises(package.MemlmError, match="runs/a is a run of kneser-ney-5, which has no hidden states"):
            trained.hidden(text)
        return
    tokens = torch.from_numpy(encode([line.split() for line in text.splitlines()], trained.vocabulary).tokens).long()
    hidden = trained.hidden(text)
    assert hidden.shape == (len(tokens), 12)
    assert hidden.dtype == np.float32
    np.testing.assert_allclose(hidden, by_hand(model, tokens), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        nats = model.head.nats(torch.from_numpy(hidden), tokens)
    np.testing.assert_allclose(nats.numpy(), trained.token_nats(text), rtol=1e-4)
    with pytest.raises(package.MemlmError, match="the text is empty"):
        trained.hidden("")


@torch.no_grad()
def by_hand(model: LanguageModel, tokens: torch.Tensor) -> np.ndarray:
    """Hidden states (T, D): of an LSTM in one run through the text, of a memory network in a window for each token."""
    C = model.context_size
    before = torch.cat([torch.full((C,), -1), tokens])
    if model.carries_state:
        return np.asarray(model(before[None, :-1])[0][0])
    return np.stack([np.asarray(model(before[None, t : t + C])[0][0, 0]) for t in range(len(tokens))])
