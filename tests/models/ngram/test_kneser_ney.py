"""Kneser-Ney n-grams against an oracle in dictionaries; proper distributions; a run as a user makes it."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import memlm as package
from memlm.config.models import KneserNeyConfig, LSTMConfig
from memlm.config.run import Config
from memlm.config.training import TrainConfig
from memlm.data import dataset
from memlm.data.batches import EMPTY
from memlm.data.corpus.reading import encode
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import evaluate, token_nats
from memlm.inference.streams.mixture import MixtureStream
from memlm.inference.streams.stream import ModelStream, stream_nats
from memlm.models.build import build_initialised
from memlm.models.ngram.kneser_ney import KneserNey
from memlm.models.ngram.smoothing import FALLBACK, estimate_discounts
from memlm.runs import checkpoint
from tests.helpers.command_line import SMALL, Memlm, refused
from tests.oracles import kneser_ney as oracle

Lines = Sequence[list[str]]
ORDERS = [1, 2, 3, 5]


def make(lines: Lines, vocabulary: Vocabulary, order: int) -> KneserNey:
    model = KneserNey(KneserNeyConfig(order=order), len(vocabulary), vocabulary.eos)
    for _ in model.count(encode(lines, vocabulary).tokens):
        pass
    return model


def random_lines(rng: np.random.Generator, words: Sequence[str], count: int) -> Lines:
    """Lines of 0 to 9 words, of which a few are frequent, so that there are n-grams of every count."""
    share = 1 / np.arange(1, len(words) + 1) ** 1.3
    drawn = [rng.choice(words, size=rng.integers(10), p=share / share.sum()) for _ in range(count)]
    return [list(map(str, line)) for line in drawn]


@pytest.fixture
def words() -> Vocabulary:
    """With words that no text below holds."""
    return Vocabulary([*"abcdefghijkl", "<eos>", "<unk>", "never", "nowhere"])


@pytest.fixture
def lines(rng: np.random.Generator, words: Vocabulary) -> Lines:
    return random_lines(rng, words.words[:12], 150)


def oracle_nats(model: oracle.KneserNey, lines: Lines) -> list[float]:
    """-log p of each word of the lines and of their ends."""
    return [-np.log(model.probability(word, line[:i])) for line in lines for i, word in enumerate([*line, oracle.END])]


def contexts_of(model: KneserNey, rng: np.random.Generator, tokens: np.ndarray, count: int) -> torch.Tensor:
    """Hidden states (R, C): half of contexts out of a text, half of words drawn at random, some empty."""
    C = model.context_size
    starts = rng.integers(len(tokens) - C, size=count)
    seen = np.array([tokens[at : at + C] for at in starts], np.int64).reshape(count, C)
    unseen = rng.integers(EMPTY, model.vocabulary_size, size=(count, C))
    inputs = torch.from_numpy(np.concatenate([seen, unseen]))
    return first_hidden(model, inputs)


def first_hidden(model: KneserNey, inputs: torch.Tensor) -> torch.Tensor:
    """Hidden states (R, C) of contexts (R, C) with empty places."""
    hidden: torch.Tensor = model(inputs)[0]
    return hidden[:, 0]


@pytest.mark.parametrize("order", ORDERS)
def test_every_word_of_a_text_agrees_with_the_oracle(
    order: int, lines: Lines, words: Vocabulary, rng: np.random.Generator
):
    model = make(lines, words, order)
    slow = oracle.KneserNey(lines, set(words.words) - {"<eos>"}, order)
    other = random_lines(rng, (*words.words[:12], "never", "<unk>"), 30)
    for text in (lines[:30], other):
        np.testing.assert_allclose(
            token_nats(model, encode(text, words).tokens), oracle_nats(slow, text), rtol=1e-10, atol=1e-10
        )


def test_the_discounts_are_those_of_the_oracle(lines: Lines, words: Vocabulary):
    model = KneserNey(KneserNeyConfig(order=3), len(words), words.eos)
    slow = oracle.KneserNey(lines, words.words, 3)
    found = list(model.count(encode(lines, words).tokens))
    assert found[1].estimated
    for order, smoothed in enumerate(found, start=1):
        np.testing.assert_allclose(smoothed.discounts[1:], slow.discounts[order], rtol=1e-12)


@pytest.mark.parametrize(
    "counts", [[], [2, 3, 4], [1, 3, 4], [1, 2, 4], [1, 2, 3], [1, 2, *[3] * 9, 4], [5, 6, 7], [1, 2, 3, *[4] * 9]]
)
def test_counts_that_give_no_discounts_have_the_fallback(counts: list[int]):
    discounts, estimated = estimate_discounts(np.array(counts, np.int64))
    assert discounts.tolist() == [0, *FALLBACK]
    assert not estimated


@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_sum_to_1_after_any_context(
    order: int, lines: Lines, words: Vocabulary, rng: np.random.Generator
):
    model = make(lines, words, order)
    hidden = contexts_of(model, rng, encode(lines, words).tokens, 200)
    log_p = model.head.log_probabilities(hidden)
    assert log_p.shape == (400, len(words))
    assert torch.isfinite(log_p).all()
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(400, dtype=log_p.dtype), atol=1e-12, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
def test_the_nats_are_those_of_the_whole_distribution(
    order: int, lines: Lines, words: Vocabulary, rng: np.random.Generator
):
    model = make(lines, words, order)
    inputs = torch.from_numpy(rng.integers(EMPTY, len(words), size=(20, order - 1 + 6)))
    targets = torch.from_numpy(rng.integers(len(words), size=(20, 7)))
    hidden, state = model(inputs)
    assert state is None
    assert hidden.shape == (20, 7, order - 1)
    log_p = model.head.log_probabilities(hidden.flatten(0, 1))
    expected = -log_p.gather(1, targets.reshape(-1, 1)).view_as(targets)
    torch.testing.assert_close(model.nats(inputs, targets)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("text", [[[]], [["a"]], [["a", "a"]], [["a", "b"], []], [["never"] * 30]])
@pytest.mark.parametrize("order", ORDERS)
def test_a_tiny_text_makes_a_proper_model(order: int, text: Lines, words: Vocabulary, rng: np.random.Generator):
    model = make(text, words, order)
    slow = oracle.KneserNey(text, set(words.words) - {"<eos>"}, order)
    hidden = first_hidden(model, torch.from_numpy(rng.integers(EMPTY, len(words), size=(50, order - 1))))
    log_p = model.head.log_probabilities(hidden)
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(50, dtype=log_p.dtype), atol=1e-12, rtol=0)
    np.testing.assert_allclose(token_nats(model, encode(text, words).tokens), oracle_nats(slow, text), rtol=1e-10)


@pytest.mark.parametrize("targets_at_once", [1, 7, 59])
def test_the_score_does_not_depend_on_the_batch(targets_at_once: int, lines: Lines, words: Vocabulary):
    model, tokens = make(lines, words, 4), encode(lines, words).tokens
    assert (token_nats(model, tokens, targets_at_once=targets_at_once) == token_nats(model, tokens)).all()


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_a_stream_as_the_others_are(order: int, lines: Lines, words: Vocabulary):
    model, tokens = make(lines, words, order), encode(lines, words).tokens[:200]
    expected = token_nats(model, tokens)
    for size in (1, 33, 200):
        np.testing.assert_allclose(np.concatenate(list(stream_nats(ModelStream(model), tokens, size=size))), expected)
    other = build_initialised(LSTMConfig(units=6), vocabulary_size=len(words), eos=words.eos, seed=1)  # in float32
    mixture = MixtureStream([ModelStream(other), ModelStream(model)], [0.3, 0.7])
    mixed = np.log(0.3 * np.exp(-token_nats(other, tokens)) + 0.7 * np.exp(-expected))
    np.testing.assert_allclose(np.concatenate(list(stream_nats(mixture, tokens))), -mixed, rtol=1e-5)


def test_what_stood_before_the_line_makes_no_difference(lines: Lines, words: Vocabulary):
    model = make(lines, words, 5)
    eos, a, b = words.eos, *words.ids(["a", "b"])
    inputs = [[EMPTY, EMPTY, eos, a], [EMPTY, EMPTY, EMPTY, a], [b, b, eos, a], [a, eos, eos, a]]
    first, *others = model.head.log_probabilities(first_hidden(model, torch.tensor(inputs)))
    assert all(torch.equal(first, other) for other in others)


def test_before_it_has_counted_every_word_is_as_likely(words: Vocabulary):
    model = KneserNey(KneserNeyConfig(order=3), len(words), words.eos)
    log_p = model.head.log_probabilities(torch.tensor([[0, 1]]))
    torch.testing.assert_close(log_p.exp(), torch.full((1, len(words)), 1 / len(words), dtype=log_p.dtype))


@pytest.mark.parametrize("order", ORDERS)
def test_a_round_trip_restores_the_tables(order: int, lines: Lines, words: Vocabulary, tmp_path: Path):
    model, tokens = make(lines, words, order), encode(lines, words).tokens
    checkpoint.save(tmp_path / "best", model, {"step": 1})
    other = KneserNey(KneserNeyConfig(order=order), len(words), words.eos)
    checkpoint.fill(other, checkpoint.read(tmp_path / "best"))
    assert other.parameter_count == model.parameter_count
    assert (token_nats(other, tokens) == token_nats(model, tokens)).all()


@pytest.mark.parametrize(
    ("order", "size", "message"),
    [(2, 16, "has no 'head.tables.2"), (4, 16, "lacks"), (3, 15, r"is \(16,\), not \(15,\)")],
)
def test_tables_of_another_model_are_refused(
    order: int, size: int, message: str, lines: Lines, words: Vocabulary, tmp_path: Path
):
    checkpoint.save(tmp_path / "best", make(lines, words, 3), {"step": 1})
    other = KneserNey(KneserNeyConfig(order=order), size, words.eos)
    with pytest.raises(MemlmError, match=message):
        checkpoint.fill(other, checkpoint.read(tmp_path / "best"))


def test_it_has_no_settings_of_training(tmp_path: Path):
    config = Config(model=KneserNeyConfig(order=4))
    assert "train" not in config.to_dict()
    assert "[train]" not in config.to_toml()
    with pytest.raises(MemlmError, match="kneser-ney is counted, not trained: it has no training settings"):
        dataclasses.replace(config, train=TrainConfig(lr=1))
    with pytest.raises(MemlmError, match=r"has a table \[train\], but kneser-ney is counted"):
        Config.from_dict({"model": {"name": "kneser-ney"}, "train": {"lr": 0.01}})


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    result = memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--order", 3)
    assert result.exit_code == 0, result.output
    return Path("runs/corpus-kneser-ney-3")


def test_a_run_is_like_any_other(run: Path, memlm: Memlm, corpus: Path):
    names = {path.name for path in run.iterdir()}
    assert {
        "config.toml",
        "env.json",
        "vocab.txt",
        "metrics.jsonl",
        "summary.json",
        "evaluations.json",
        "best",
    } <= names
    summary = json.loads((run / "summary.json").read_text())
    score = json.loads(memlm("eval", run, "--json").stdout)
    assert score["perplexity"] == summary["test_perplexity"]
    assert score["tokens"] == 100
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/other").exit_code == 0
    assert summary.keys() == json.loads(Path("runs/other/summary.json").read_text()).keys()
    table = memlm("compare", run, "runs/other")
    assert table.exit_code == 0, table.output
    assert "kneser-ney-3" in table.stdout


def test_how_a_file_was_split_is_said(memlm: Memlm, corpus: Path):
    result = memlm("train", "--dataset", corpus / "train.txt", "--model", "kneser-ney")
    assert "one file, split 90,5,5 at the ends of lines" in result.output.splitlines()


@pytest.mark.parametrize("order", [1, 2])
def test_the_lowest_orders_answer_too(order: int, memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--order", order).exit_code == 0
    after = package.load(f"runs/corpus-kneser-ney-{order}").next_word("a0 b0")
    assert after.probabilities.sum() == pytest.approx(1, abs=1e-12)


def test_a_run_is_not_overwritten_unasked(run: Path, memlm: Memlm, corpus: Path):
    again = ("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", run)
    assert "holds a run: choose another --run-dir" in refused(memlm(*again))
    assert memlm(*again, "--overwrite").exit_code == 0
    assert package.load(run).config.model == KneserNeyConfig(order=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", 1], "--lr is not a setting of kneser-ney"),
        (["--seed", 1], "--seed is not a setting of kneser-ney"),
        (["--hops", 2], "--hops is not a setting of kneser-ney"),
        (["--order", 0], "order is 0; it must be at least 1"),
        (["--recipe", "memn2n"], "--model kneser-ney does not fit recipe memn2n"),
    ],
)
def test_bad_settings_are_refused(arguments: list[object], message: str, memlm: Memlm, corpus: Path):
    assert message in refused(memlm("train", "--dataset", corpus, "--model", "kneser-ney", *arguments))
    assert not Path("runs").exists()


def test_there_is_nothing_to_resume(run: Path, memlm: Memlm):
    before = (run / "summary.json").read_text()
    assert "is counted in one go: there is nothing to resume" in refused(memlm("train", "--resume", run))
    assert (run / "summary.json").read_text() == before
    assert "but this model has no memory" in refused(memlm("eval", run, "--protocol", "facebook"))


def test_a_count_that_is_stopped_leaves_no_figures(memlm: Memlm, corpus: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("memlm.experiments.signals.SignalRequests.stop", lambda stop: True)
    result = memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", "runs/a")
    assert "stopped; nothing is saved. To count again, give --run-dir runs/a --overwrite" in result.stdout
    assert not Path("runs/a/best").exists()
    assert not Path("runs/a/summary.json").exists()


def test_penn_treebank_has_the_figure_of_the_field(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    """141.2: Mikolov et al. 2011, "Empirical Evaluation and Combination of Advanced Language Modeling Techniques"."""
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").symlink_to(real_data / "ptb" / f"ptb.{split}.txt")
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    data = dataset.load_dataset(str(tmp_path), splits=["train", "test"])
    model = KneserNey(KneserNeyConfig(), len(data.vocabulary), data.vocabulary.eos)
    for _ in model.count(data.splits["train"].tokens):
        pass
    test = data.splits["test"].tokens
    assert evaluate(model, test).perplexity == pytest.approx(141.2, abs=0.1)
    log_p = model.head.log_probabilities(contexts_of(model, rng, test, 20))
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(40, dtype=log_p.dtype), atol=1e-10, rtol=0)
