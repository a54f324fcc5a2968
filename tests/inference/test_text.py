"""From Python: load a run, score a text, ask for the next word and what each hop looked at."""

from pathlib import Path

import numpy as np
import pytest

import memlm as package


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
