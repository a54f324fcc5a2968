"""Runs of models that are counted: their folders, and a stop on the way."""

from pathlib import Path

import pytest

import memlm as package
from memlm.config.models import KneserNeyConfig
from memlm.config.run import Config
from memlm.errors import MemlmError
from memlm.experiments import counting
from memlm.inference.load import load_text
from memlm.runs import checkpoint
from tests.helpers.command_line import Memlm
from tests.helpers.outcome import outcome
from tests.helpers.training import Ask, after_calls

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder


@pytest.fixture
def config(corpus: Path) -> Config:
    return Config(dataset=str(corpus), model=KneserNeyConfig(order=3))


def test_a_run_is_one_epoch_of_one_step_with_an_evaluation(config: Config):
    orders: list[int] = []
    with counting.start(config, None, overwrite=False) as ready:
        assert ready.run.path == Path("runs/corpus-kneser-ney-3")
        ready.found = lambda order, found: orders.append(order)
        summary = ready.train([], Ask())
    assert orders == [1, 2, 3]
    assert ready.counted
    assert summary is not None
    assert (summary["finished"], summary["epochs"], summary["steps"], summary["best_epoch"]) == ("counted", 1, 1, 1)
    (line,) = ready.run.metrics()
    assert line["valid_perplexity"] == summary["valid_perplexity"] == ready.passports["valid"]["perplexity"]
    assert line["train_perplexity"] == summary["train_perplexity"]
    assert checkpoint.read(ready.run.best).step == 1
    assert load_text(ready.run.path).evaluate("test")["perplexity"] == summary["test_perplexity"]
    assert ready.run.read_json("summary.json") == summary


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_stopped_while_it_counts_nothing_is_saved(calls: int, config: Config):
    with counting.start(config, Path("run"), overwrite=False) as ready:
        assert ready.train([], Ask(after_calls(calls))) is None
    assert not ready.counted
    assert not ready.run.best.exists()
    assert not Path("run/summary.json").exists()


def test_stopped_while_it_is_evaluated_the_model_is_there(config: Config):
    with counting.start(config, Path("run"), overwrite=False) as ready:
        assert ready.train([], Ask(after_calls(3))) is None
    assert ready.counted
    assert not Path("run/summary.json").exists()
    with counting.start(config, Path("whole"), overwrite=False) as whole:
        summary = whole.train([], Ask())
    assert summary is not None
    assert load_text("run").evaluate("test")["perplexity"] == summary["test_perplexity"]


def test_counts_are_a_model_like_any_other(memlm: Memlm, corpus: Path):
    model = package.train("kneser-ney", dataset=corpus, run_dir="a", order=3, quiet=True)
    assert memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--order", 3, "--run-dir", "b").exit_code == 0
    assert {key: outcome("a")[key] for key in ("metrics", "summary")} == {
        key: outcome("b")[key] for key in ("metrics", "summary")
    }
    assert Path("a/best/model.safetensors").read_bytes() == Path("b/best/model.safetensors").read_bytes()
    assert package.evaluate(model, "test")["perplexity"] == outcome("a")["summary"]["test_perplexity"]
    with pytest.raises(MemlmError, match="there is nothing to resume"):
        package.resume("a", quiet=True)
