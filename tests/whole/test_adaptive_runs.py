"""Runs with an adaptive softmax: trained, resumed, and put to every use, from the command line and Python."""

import json
import tomllib
from pathlib import Path

import pytest

import memlm as package
from memlm.models.layers import cutoffs
from tests.helpers.command_line import Memlm, refused

OF_MODEL: dict[str, list[object]] = {
    "layerwise": ["--hops", 2, "--memory-size", 8],
    "adjacent": ["--hops", 2, "--memory-size", 8, "--tying", "adjacent"],
    "lstm": ["--model", "lstm"],
}
SMALL = ["--units", 12, "--batch-size", 32, "--chunk-length", 8, "--lr", 0.05, "--epochs", 2, "--device", "cpu"]


@pytest.fixture(autouse=True)
def little_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 30)
    for name, values in {"WINDOWS": (20,), "THETAS": (0.1,), "RATES": (3e-4, 1e-3), "DECAYS": (0.0,)}.items():
        monkeypatch.setattr(f"memlm.inference.streams.tuning.{name}", values)


def settings(run: Path) -> dict[str, object]:
    model: dict[str, object] = tomllib.loads((run / "config.toml").read_text())["model"]
    return model


@pytest.mark.parametrize("kind", OF_MODEL)
def test_a_run_is_trained_and_put_to_every_use(kind: str, memlm: Memlm, corpus: Path, tmp_path: Path):
    options = ["--dataset", corpus, *OF_MODEL[kind], *SMALL, "--softmax", "adaptive", "--cutoffs", "3,7"]
    result = memlm("train", *options)
    assert result.exit_code == 0, result.output
    assert "cut at 3,7" in result.output
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-adaptive")
    plain = json.loads(memlm("eval", run, "--json").stdout)
    adapted = json.loads(memlm("eval", run, "--cache", "--dynamic", "--json").stdout)
    assert adapted["perplexity"] < plain["perplexity"]

    model = package.load(run)
    assert model.next_word("a0 b0").probabilities.sum() == pytest.approx(1, abs=1e-5)
    words = [word for word, _, _ in model.generate("a0 b0 c0", seed=1)]
    assert set(words) <= set(model.vocabulary.words)
    (scored,) = model.score_lines("a0 b0 c0 d")
    assert -scored.sums.log_probability == pytest.approx(model.token_nats("a0 b0 c0 d").sum(), rel=1e-5)


def test_cut_offs_that_were_chosen_are_recorded_and_never_measured_again(
    memlm: Memlm, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    begun = memlm("train", "--dataset", corpus, *SMALL, "--softmax", "adaptive", "--max-steps", 2, "--run-dir", run)
    assert begun.exit_code == 0, begun.output
    chosen = settings(run)["cutoffs"]
    assert isinstance(chosen, str)
    assert chosen
    monkeypatch.delattr(cutoffs, "measure_cost")
    resumed = memlm("train", "--resume", run, "--max-steps", 4)
    assert resumed.exit_code == 0, resumed.output
    assert settings(run)["cutoffs"] == chosen
    assert package.load(run).perplexity("a0 b0 c0") > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--softmax", "adaptive", "--cutoffs", "3,3"], "cutoffs is '3,3'; it must be rising numbers above 0"),
        (["--softmax", "adaptive", "--cutoffs", "0,3"], "cutoffs is '0,3'; it must be rising numbers above 0"),
        (["--softmax", "adaptive", "--cutoffs", "3, 4"], "cutoffs is '3, 4'; it must be rising numbers above 0"),
        (["--softmax", "adaptive", "--cutoffs", "3,999"], "cutoffs end at 999; with 14 words in the vocabulary"),
        (["--cutoffs", "3,4"], "cutoffs is '3,4', which needs softmax adaptive"),
        (["--model", "kneser-ney", "--softmax", "adaptive"], "--softmax is not a setting of kneser-ney"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_run(
    options: list[str], message: str, memlm: Memlm, corpus: Path, tmp_path: Path
):
    assert message in refused(memlm("train", "--dataset", corpus, *options, "--run-dir", "run"))
    assert not (tmp_path / "run").exists()
