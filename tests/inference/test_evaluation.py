"""A trained model is evaluated: what is scored, what the passport says, and that it agrees with the checkpoint."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import memlm as package
from memlm.errors import MemlmError
from memlm.evaluation.passport import ALL_BEFORE
from memlm.evaluation.perplexity import token_nats
from memlm.inference import evaluation
from memlm.inference.load import load_text
from tests.helpers.command_line import SMALL, Memlm

SMALL_LSTM = ("--model", "lstm", "--units", 6, "--max-steps", 2, "--device", "cpu")


@pytest.fixture
def model(memlm: Memlm, corpus: Path) -> package.TrainedModel:
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "run").exit_code == 0
    return load_text("run")


def test_a_model_or_its_run_is_evaluated_and_nothing_is_written(model: package.TrainedModel):
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    by_model = package.evaluate(model, "valid")
    for run in ("run", Path("run")):
        found = package.evaluate(run, "valid")
        assert found | {"seconds": 0} == by_model | {"seconds": 0}
    assert package.evaluate("run")["split"] == "test"
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_what_can_not_be_evaluated_is_said(model: package.TrainedModel):
    with pytest.raises(MemlmError, match="nowhere"):
        package.evaluate("nowhere")
    with pytest.raises(MemlmError, match="has no split 'tests': it has train, valid, test"):
        package.evaluate(model, "tests")
    with pytest.raises(MemlmError, match="protocol"):
        package.evaluate(model, protocol="mine")


def test_each_token_is_scored_once_and_words_add_up(trained: package.TrainedModel):
    data = evaluation.read_split(trained, "test")
    tokens = data.splits["test"].tokens
    found = evaluation.score(trained, data, "test")
    assert len(found.nats) == len(tokens) == 100
    np.testing.assert_array_equal(found.nats, token_nats(trained.model, tokens))
    np.testing.assert_array_equal(found.word_nats, found.nats)  # a token is a word here
    assert found.passport["perplexity"] == pytest.approx(math.exp(found.nats.sum() / 100))
    assert found.passport["tokens"] == 100


def test_progress_is_told_and_can_stop_it(trained: package.TrainedModel):
    data, told = evaluation.read_split(trained, "test"), []
    evaluation.score(trained, data, "test", tick=lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [100] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})  # before each step
    assert told[-1][0] < 100

    def stop(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluation.score(trained, data, "test", tick=stop)


def test_an_adapted_model_tells_its_progress_too_and_scores_each_token(model: package.TrainedModel):
    adapted, told = model.adapted(cache=True), []
    data = evaluation.read_split(adapted, "test")
    found = evaluation.score(adapted, data, "test", tick=lambda done, total: told.append((done, total)))
    assert told[-1] == (100, 100)
    assert found.passport["perplexity"] == pytest.approx(math.exp(found.nats.sum() / 100))
    assert found.passport["context"] == ALL_BEFORE
    assert not np.array_equal(found.nats, token_nats(model.model, data.splits["test"].tokens))


def test_only_the_text_of_the_run_is_a_split_of_it(model: package.TrainedModel, corpus: Path):
    (corpus / "test.txt").write_text("a0 b1 c2 d\n" * 30)
    with pytest.raises(MemlmError, match=r"the test text of .* is not the one that run was trained on"):
        evaluation.read_split(model, "test")
    assert len(evaluation.read_split(model, "valid").splits["valid"].tokens) == 100


def test_the_facts_are_those_of_the_model(model: package.TrainedModel, memlm: Memlm, corpus: Path):
    data = evaluation.read_split(model, "valid")
    facts = evaluation.facts(model, data, "valid", "exact", seconds=2.0)
    assert (facts["run"], facts["model"], facts["label"]) == ("run", "memn2n", "memn2n-2x8")
    assert (facts["checkpoint"], facts["step"], facts["split"], facts["protocol"]) == (
        "best",
        model.step,
        "valid",
        "exact",
    )
    assert facts["parameters"] == sum(p.numel() for p in model.model.parameters())
    assert facts["vocabulary_size"] == len(model.vocabulary)
    assert (facts["dtype"], facts["device"], facts["seconds"], facts["wrappers"]) == ("float32", "cpu", 2.0, {})
    assert facts["context"] == model.model.context_size
    assert memlm("train", "--dataset", corpus, *SMALL_LSTM, "--run-dir", "lstm").exit_code == 0
    recurrent = load_text("lstm")
    assert evaluation.facts(recurrent, data, "valid", "exact", seconds=2.0)["context"] == ALL_BEFORE
    assert recurrent.evaluate("valid")["context"] == ALL_BEFORE


def test_a_checkpoint_gives_the_perplexity_that_it_recorded(trained: package.TrainedModel):
    recorded, now = evaluation.remeasure(trained) or (0.0, 1.0)
    assert now == pytest.approx(recorded, rel=1e-6)
    assert recorded == pytest.approx(trained.evaluate("valid")["perplexity"], rel=1e-6)
    other = dataclasses.replace(trained, sample={"tokens": 10, "nats": 10.0})
    measured = token_nats(trained.model, evaluation.read_split(trained, "valid").splits["valid"].tokens[:10])
    assert evaluation.remeasure(other) == pytest.approx((math.e, math.exp(measured.mean())))
    assert evaluation.remeasure(dataclasses.replace(trained, sample=None)) is None
