"""Scoring a text word by word, and `memlm score`."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import memlm as package
from memlm.cli import score
from tests.helpers.command_line import Memlm


def test_a_text_adds_up_to_its_evaluation(trained: package.TrainedModel, corpus: Path):
    lines = (corpus / "test.txt").read_text().splitlines()
    sentences = list(trained.score_lines(lines))
    evaluated = trained.evaluate("test")
    assert sum(sentence.sums.tokens for sentence in sentences) == evaluated["tokens"]
    total = sum(sentence.sums.log_probability for sentence in sentences)
    assert -total == pytest.approx(evaluated["nats"], rel=1e-6)


def test_ranks_and_unknown_words(trained: package.TrainedModel):
    (sentence,) = trained.score_lines(["a0 unheard c0"])
    assert [token.word for token in sentence.tokens] == ["a0", "unheard", "c0", "<eos>"]
    assert [token.oov for token in sentence.tokens] == [False, True, False, False]
    for token, context in zip(sentence.tokens, ("", "a0", "a0 unheard", "a0 unheard c0"), strict=True):
        p = trained.next_word(context).probabilities
        of_token = p[trained.vocabulary.words.index("<unk>" if token.oov else token.word)]
        assert np.exp(token.log_probability) == pytest.approx(of_token, rel=1e-4)
        assert token.rank == 1 + (p > of_token * (1 + 1e-5)).sum()
    known = [token.log_probability for token in sentence.tokens if not token.oov]
    assert sentence.sums.perplexity_without_oov == pytest.approx(np.exp(-np.mean(known)))
    assert sentence.sums.oov == 1


def test_independent_lines_know_nothing_of_each_other(trained: package.TrainedModel):
    alone = [next(iter(trained.score_lines([line]))) for line in ("a0 b0", "c0 d")]
    assert list(trained.score_lines(["a0 b0", "c0 d"], independent=True)) == alone
    in_a_text = list(trained.score_lines(["a0 b0", "c0 d"]))
    assert (in_a_text == alone) == (trained.config.model.name == "kneser-ney")  # no n-gram crosses a line's end


def test_score_prints_tokens_sentences_and_a_total(trained: package.TrainedModel, memlm: Memlm):
    Path("text").write_bytes(b"\xef\xbb\xbfa0 b0\n\nunheard c0\n")  # a byte order mark is no part of a word
    lines = memlm("score", "runs/a", "text").output.splitlines()
    words = [line.split("\t")[0] for line in lines if line[0] != "#"]
    assert words == ["a0", "b0", "<eos>", "<eos>", "unheard", "c0", "<eos>"]
    assert [line for line in lines if line.endswith("\toov")] == [
        next(line for line in lines if line.startswith("unheard"))
    ]
    assert lines[3].startswith("# sentence 1: 3 tokens, log-probability -")
    assert lines[-1].startswith("# total of 3 sentences: 7 tokens")
    objects = [json.loads(line) for line in memlm("score", "runs/a", "text", "--json").output.splitlines()]
    assert [o["type"] for o in objects].count("token") == 7
    assert objects[-1]["type"] == "total"
    assert objects[-1]["oov"] == 1
    tokens = [o["log_probability"] for o in objects if o["type"] == "token"]
    assert objects[-1]["log_probability"] == pytest.approx(sum(tokens))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "text is empty: there is nothing to score"),
        (b"a0\nb\xff\n", r"text is not UTF-8 text \(line 2, byte 2\)"),
        (b"a0\nb\0\n", r"text is not UTF-8 text: it holds a NUL \(line 2, byte 2\)"),
    ],
)
def test_what_is_no_text_is_refused(
    trained: package.TrainedModel,
    memlm: Memlm,
    content: bytes,
    error: str,
):
    Path("text").write_bytes(content)
    result = memlm("score", "runs/a", "text")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert re.search(error, result.stderr)


@pytest.mark.parametrize(("fault", "status", "said"), [(errno.EPIPE, 1, ""), (errno.ENOSPC, 2, "No space left")])
def test_a_fault_of_the_output_is_none_of_the_text(
    trained: package.TrainedModel,
    memlm: Memlm,
    monkeypatch: pytest.MonkeyPatch,
    fault: int,
    status: int,
    said: str,
):
    Path("text").write_text("a0 b0\n")

    def fail(line: str) -> None:
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patched:
        patched.setattr(score, "_lines", lambda *_: map(fail, "a"))
        result = memlm("score", "runs/a", "text")
    assert result.exit_code == status
    assert said in result.stderr
    assert "cannot read" not in result.stderr
