"""`memlm eval --cache --dynamic --mix`, and an adapted model from Python."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest

import memlm as package
from memlm.inference.load import load_text
from tests.helpers.command_line import SMALL, Memlm


@pytest.fixture(autouse=True)
def few_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 30)
    monkeypatch.setattr("memlm.inference.streams.tuning.WINDOWS", (20, 200))
    monkeypatch.setattr("memlm.inference.streams.tuning.THETAS", (0.0, 0.1, 1.0))


@pytest.fixture
def runs(memlm: Memlm, corpus: Path) -> Memlm:
    for name, options in (
        ("memory", (*SMALL, "--lr", 0.02)),
        ("lstm", ("--model", "lstm", "--units", 8, "--epochs", 1)),
        ("grams", ("--model", "kneser-ney", "--order", 2)),
    ):
        result = memlm("train", "--dataset", corpus, *options, "--run-dir", f"runs/{name}")
        assert result.exit_code == 0, result.output
    return memlm


def test_weights_are_tuned_on_validation_and_kept(runs: Memlm):
    plain = json.loads(runs("eval", "runs/memory", "--json").stdout)
    plain_keys = json.loads(Path("runs/memory/evaluations.json").read_text()).keys()
    everything = ("--cache", "--dynamic", "--mix", "runs/grams", "--mix", "runs/lstm")
    result = runs("eval", "runs/memory", *everything, "--json")
    assert result.exit_code == 0, result.output
    adapted = json.loads(result.stdout)
    assert list(plain["wrappers"]) == []
    assert list(adapted["wrappers"]) == ["cache", "dynamic", "mix"]
    assert (plain["context"], adapted["context"]) == (8, "all before")
    assert [other["label"] for other in adapted["wrappers"]["mix"]] == ["kneser-ney-2", "lstm-1x8"]
    assert adapted["perplexity"] < plain["perplexity"]
    assert "dynamic evaluation, learning rate" in result.stderr
    again = runs("eval", "runs/memory", *everything)
    assert "using weights that were tuned before: cache, dynamic, mix" in again.stderr
    assert "perplexity" not in again.stderr  # nothing is tuned twice
    assert "memn2n-2x8 + cache + dynamic + " in again.stdout
    assert f"perplexity {adapted['perplexity']:.2f}" in again.stdout
    assert "dynamic evaluation, learning rate" in runs("eval", "runs/memory", *everything, "--tune-again").stderr
    kept = json.loads(Path("runs/memory/evaluations.json").read_text())
    assert kept["test/exact/best"] == plain
    (key,) = kept.keys() - plain_keys
    assert re.fullmatch(r"test/exact/best\+cache\+dynamic\+mix\(grams-[0-9a-f]{8},lstm-[0-9a-f]{8}\)", key)
    assert kept[key]["perplexity"] == pytest.approx(adapted["perplexity"])
    assert runs("compare", "runs/memory", "runs/grams").exit_code == 0


def test_weights_of_other_adaptations_or_models_are_not_used(runs: Memlm):
    runs("eval", "runs/memory", "--cache", "--mix", "runs/grams")
    tuned = runs("eval", "runs/memory", "--dynamic").stderr
    assert "dynamic evaluation, learning rate" in tuned
    both = runs("eval", "runs/memory", "--dynamic", "--cache").stderr
    assert "using weights that were tuned before: dynamic" in both
    assert "cache: window" in both
    assert "rate" not in both  # dynamic evaluation is beneath it, and known
    for other in (
        ("--cache", "--mix", "runs/lstm"),
        ("--cache", "--mix", "runs/grams", "--mix", "runs/lstm"),
    ):
        assert "mixture: weights" in runs("eval", "runs/memory", *other).stderr


def test_an_adapted_model_does_all_that_a_model_does(runs: Memlm, corpus: Path):
    model = load_text("runs/memory").adapted(cache=True, dynamic=True, mix=[package.load("runs/grams"), "runs/lstm"])
    assert repr(model).startswith("<memlm model memn2n-2x8 + cache + dynamic + mix, runs/memory, best, step ")
    sentences = list(model.score_lines((corpus / "test.txt").read_text().splitlines()))
    evaluated = model.evaluate("test")
    assert -sum(sentence.sums.log_probability for sentence in sentences) == pytest.approx(evaluated["nats"], rel=1e-6)
    after = model.next_word("a0 b0 c0 d\na1")
    assert after.probabilities.sum() == pytest.approx(1, abs=1e-5)
    (word, p) = after.top(1)[0]
    assert -model.token_nats(f"a0 b0 c0 d\na1 {word}")[-2] == pytest.approx(math.log(p), rel=1e-4)
    assert len(list(model.generate("a0", seed=1))) == 100


def test_what_can_not_be_adapted_is_refused(runs: Memlm, tmp_path: Path, corpus: Path):
    for option in ("--cache", "--dynamic"):
        result = runs("eval", "runs/grams", option)
        assert result.exit_code == 2
        assert (
            "runs/grams is a run of kneser-ney-2, which has no hidden states: it can have neither a cache nor dynamic"
            in result.stderr
        )
    (corpus / "train.txt").write_text("another text\n" * 40)
    runs("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", "runs/other")
    result = runs("eval", "runs/memory", "--mix", "runs/other")
    assert result.exit_code == 2
    assert "runs/other can't be mixed with runs/memory: their vocabularies differ" in result.stderr


def test_there_must_be_something_to_tune_again(runs: Memlm):
    result = runs("eval", "runs/memory", "--tune-again")
    assert result.exit_code == 2
    assert "give --cache, --dynamic or --mix with it" in result.stderr


def test_two_runs_of_one_name_are_two_mixtures(runs: Memlm):
    """Neither overwrites what was tuned for the other, nor is taken for it."""
    shutil.copytree("runs/grams", "others/grams")
    first, second = "runs/grams", "others/grams"
    for other in (first, second):
        assert "mixture: weights" in runs("eval", "runs/memory", "--mix", other).stderr
    for other in (first, second):
        again = runs("eval", "runs/memory", "--mix", other).stderr
        assert "using weights that were tuned before: mix" in again
        assert "mixture: weights" not in again
    kept = json.loads(Path("runs/memory/evaluations.json").read_text())
    mixed = {passport["wrappers"]["mix"][0]["run"] for key, passport in kept.items() if "mix" in key}
    assert mixed == {str(Path(other).resolve()) for other in (first, second)}
    assert len(list(Path("runs/memory/scores").glob("*mix*"))) == 2
