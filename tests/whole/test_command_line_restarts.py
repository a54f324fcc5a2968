"""`memlm train --restarts` as a user meets it: one run, whose best restart serves wherever a model does."""

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL, Memlm, refused
from tests.helpers.tensorboard import curves


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    """A finished run of three restarts."""
    result = memlm("train", "--dataset", corpus, *SMALL, "--restarts", 3, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    assert "3 restarts side by side, of seeds 1 to 3" in result.output
    assert "(mean, standard deviation)" in result.output
    return Path("runs/a")


def test_the_best_restart_is_evaluated_compared_and_put_to_use(run: Path, memlm: Memlm, corpus: Path):
    summary = json.loads((run / "summary.json").read_text())
    best = next(restart for restart in summary["restarts"] if restart["seed"] == summary["seed"])
    assert summary["valid_perplexity"] == pytest.approx(best["valid_perplexity"])

    alone = memlm("train", "--dataset", corpus, *SMALL, "--seed", summary["seed"], "--run-dir", "runs/b")
    assert alone.exit_code == 0, alone.output
    together, single = (json.loads(memlm("eval", path, "--json").stdout) for path in (run, "runs/b"))
    assert together["perplexity"] == pytest.approx(single["perplexity"], rel=1e-4)
    for words in (
        ("compare", run, "runs/b"),
        ("attend", run, "--text", "a0 b0 c0 d"),
        ("generate", run, "--prompt", "a0 b0", "--seed", 1),
    ):
        result = memlm(*words)
        assert result.exit_code == 0, result.output
    assert "last holds 3 restarts side by side: use best" in refused(memlm("eval", run, "--checkpoint", "last"))


def test_the_curves_tell_each_restart(run: Path):
    tags = curves(run).Tags()["scalars"]
    assert {f"epoch/valid_perplexity_by_seed/{seed}" for seed in (1, 2, 3)} <= set(tags)
    assert {"epoch/valid_perplexity", "step/perplexity"} <= set(tags)


def test_more_epochs_go_on_with_all_restarts_and_their_number_stays(run: Path, memlm: Memlm):
    assert "--restarts can't be changed on --resume" in refused(memlm("train", "--resume", run, "--restarts", 4))
    result = memlm("train", "--resume", run, "--epochs", 3)
    assert result.exit_code == 0, result.output
    assert "resuming after step" in result.output
    summary = json.loads((run / "summary.json").read_text())
    assert [restart["epochs"] for restart in summary["restarts"]] == [3, 3, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "lstm"), "trained side by side: train lstm-1x100 as often, each time with another --seed"),
        (("--model", "kneser-ney"), "--restarts is not a setting of kneser-ney"),
        (
            ("--softmax", "adaptive"),
            "only memn2n with a full softmax is trained side by side: train memn2n-6x100-adapt",
        ),
        (("--on-divergence", "halve"), "with restarts it must be stop: one that diverges is left out"),
    ],
)
def test_what_is_not_trained_side_by_side_is_refused(
    options: tuple[str, ...], message: str, memlm: Memlm, corpus: Path
):
    assert message in refused(memlm("train", "--dataset", corpus, *options, "--restarts", 2))
    assert not Path("runs").exists()
