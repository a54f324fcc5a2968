"""`memlm compare`: whether runs differ, in words and in JSON, and their curves side by side."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from memlm.cli import main
from memlm.evaluation import records
from memlm.evaluation.plots.curves import Curve, perplexity_curves
from memlm.experiments.bootstrap import Difference, in_words
from tests.helpers.command_line import SMALL, Memlm, refused


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, of which a was trained longer than b, on splits that are long enough to tell."""
    corpus, runs = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("runs")
    for split, lines in (("train", 120), ("valid", 240), ("test", 240)):
        (corpus / f"{split}.txt").write_text("".join(f"a{i % 3} b{i % 5} c{i % 3} d\n" for i in range(lines)))
    for name, epochs in (("a", 4), ("b", 1)):
        words = ("train", "--dataset", corpus, *SMALL, "--epochs", epochs, "--run-dir", runs / name)
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
    return runs


@pytest.fixture
def two(memlm: Memlm, trained: Path) -> tuple[Path, Path]:
    """The two runs, to be changed at will."""
    shutil.copytree(trained, "runs")
    return Path("runs/a"), Path("runs/b")


DIFFERENT = "runs/a and runs/b can't be compared: they were scored on different texts"


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if " on valid" in line or " on test" in line]


def test_a_difference_is_told_in_words_and_json(two: tuple[Path, Path], memlm: Memlm):
    first, second = json.loads(memlm("compare", *two, "--json").stdout)
    assert first["differences_from_first"] == {}
    found = second["differences_from_first"]
    assert found.keys() == {"valid", "test"}
    ratio = second["test_perplexity"] / first["test_perplexity"]
    assert found["test"]["perplexity_ratio"] == pytest.approx(ratio)
    low, high = found["test"]["ratio_interval"]
    assert 1 < low < ratio < high
    assert found["test"]["nats_per_word"] == pytest.approx(np.log(ratio))
    assert found["test"]["probability_better"] < 0.001
    assert found["test"]["told"] is True
    shown = lines(memlm("compare", *two).stdout)
    assert len(shown) == 2
    assert shown[1].startswith(
        f"runs/a is better than runs/b on test: {100 * (1 - 1 / ratio):.1f} % lower perplexity, "
    )
    assert shown[1].endswith(", probability > 0.999")
    assert lines(memlm("compare", *two[::-1]).stdout) == shown
    assert lines(memlm("compare", two[0]).stdout) == []


def test_a_run_does_not_differ_from_itself(two: tuple[Path, Path], memlm: Memlm):
    (_, shown) = lines(memlm("compare", two[0], two[0]).stdout)
    assert shown.startswith("no difference can be told between runs/a and runs/a on test: ")


def test_why_no_difference_is_told(two: tuple[Path, Path], memlm: Memlm):
    (two[1] / "scores" / "test-exact-best.safetensors").unlink()
    result = memlm("compare", *two)
    assert result.exit_code == 0
    assert "memn2n-2x8" in result.stdout
    reason = "runs/b has no nats per token of test: run `memlm eval runs/b --split test`"
    assert reason in result.stdout.splitlines()
    assert json.loads(memlm("compare", *two, "--json").stdout)[1]["differences_from_first"]["test"] == {
        "reason": reason
    }
    assert memlm("eval", two[1], "--split", "test").exit_code == 0
    assert reason not in memlm("compare", *two).stdout

    for run in two:
        for split in ("valid", "test"):
            assert memlm("eval", run, "--protocol", "facebook", "--split", split).exit_code == 0
    shown = memlm("compare", *two, "--protocol", "facebook").stdout.splitlines()
    assert (
        shown.count("no differences: they need protocol exact, because protocol facebook counts some tokens twice")
        == 1
    )


def test_a_short_text_tells_nothing(memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    shown = memlm("compare", "runs/a", "runs/a").stdout.splitlines()
    assert shown.count("a text of 100 words is too short to tell a difference: it needs 1,000") == 1


def test_other_texts_do_not_compare_and_older_evaluations_do(two: tuple[Path, Path], memlm: Memlm):
    path = two[1] / records.EVALUATIONS
    kept = json.loads(path.read_text())

    def write(change: Any) -> None:
        path.write_text(json.dumps({name: change(dict(passport)) for name, passport in kept.items()}))

    write(lambda passport: passport | {"text_sha256": "another", "data_sha256": "another"})
    assert refused(memlm("compare", *two)) == DIFFERENT
    write(lambda passport: passport | {"text_sha256": "another", "tokenizer": "characters"})
    assert refused(memlm("compare", *two)) == DIFFERENT
    old = ("run", "label", "dataset", "protocol", "step", "parameters", "tokens", "nats", "perplexity")
    hashes = ("vocabulary_sha256", "data_sha256")
    write(lambda passport: {key: passport[key] for key in (*old, *hashes)})
    assert len(lines(memlm("compare", *two).stdout)) == 2
    write(lambda passport: {key: passport[key] for key in (*old, *hashes)} | {"vocabulary_sha256": "another"})
    message = refused(memlm("compare", *two))
    assert message.startswith(
        "runs/a and runs/b can't be compared: the vocabulary differs; evaluations of this version"
    )
    write(lambda passport: passport | {"nats": None})
    assert "runs/b is damaged: evaluations.json lacks a figure" in memlm("compare", *two).stdout.splitlines()


def difference(ratio: float, low: float, high: float, probability: float) -> Difference:
    nats, low, high = map(math.log, (ratio, low, high))
    return Difference(nats=nats, low=low, high=high, probability=probability, block_length=20, resamples=100)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            difference(0.959, 0.95, 0.968, 0.9999),
            "b is better than a on test: 4.1 % lower perplexity, 95 % interval 3.2 to 5.0 %, probability > 0.999",
        ),
        (
            difference(1 / 0.959, 1 / 0.9912, 1 / 0.95, 0.02),
            "a is better than b on test: 4.1 % lower perplexity, 95 % interval 0.88 to 5.0 %, probability 0.980",
        ),
        (
            difference(0.9974, 0.988, 1.0063, 0.733),
            "no difference can be told between a and b on test: b has 0.26 % lower perplexity, "
            "95 % interval 1.2 % lower to 0.63 % higher, probability 0.733 that it is better",
        ),
    ],
)
def test_the_words(told: Difference, words: str):
    assert in_words(told, "b", "a", "test") == words


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_curves_are_drawn_and_nothing_is_overwritten_unasked(ending: str, two: tuple[Path, Path], memlm: Memlm):
    picture = Path(f"curves.{ending}")
    perplexity = json.loads((two[0] / "summary.json").read_text())["valid_perplexity"]
    assert memlm("compare", *two, "--plot", picture).exit_code == 0
    content = picture.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
    else:
        assert f"runs/a: {perplexity:.2f} (epoch 4)".encode() in content
        assert b"runs/b: " in content
    assert "it exists already" in refused(memlm("compare", *two, "--plot", picture))
    picture.write_bytes(b"")
    assert memlm("compare", *two, "--plot", picture, "--overwrite").exit_code == 0
    assert picture.read_bytes() == content
    assert [path.name for path in Path().iterdir() if "curves" in path.name] == [picture.name]
    assert "must end in .png" in refused(memlm("compare", *two, "--plot", "curves.jpg"))
    assert "no folder none" in refused(memlm("compare", *two, "--plot", "none/curves.png"))


def history(*valid: float | None) -> list[dict[str, Any]]:
    return [{"epoch": i + 1, "valid_perplexity": p, "train_perplexity": 2 * (p or 9)} for i, p in enumerate(valid)]


@pytest.mark.parametrize("worst", [900.0, math.inf])
def test_curves_of_what_is_not_finite_are_drawn(worst: float, tmp_path: Path):
    curves = [Curve(run="a", perplexity=math.inf, history=history(worst, worst))]
    perplexity_curves(curves, title="a").savefig(tmp_path / "curves.svg")


@pytest.mark.parametrize("worst", [900.0, 6.0])
def test_what_the_curves_show(worst: float):
    curves = [Curve(run=f"runs/{i}", perplexity=4.5, history=history(worst, 5 + i, None)) for i in range(9)]
    curves.append(Curve(run="counted", perplexity=4.75, history=history(4.75)))
    (ax,) = perplexity_curves(curves, title="$x", floor=3.18).axes
    drawn = [line for line in ax.get_lines() if str(line.get_label()).startswith("runs/")]
    for i, line in enumerate(drawn):
        assert np.array_equal(line.get_ydata(), [worst, 5 + i, np.nan], equal_nan=True)
        assert line.get_label() == f"runs/{i}: 4.50 (epoch {1 if worst <= 5 + i else 2})"
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == len(drawn) == 9
    assert ax.get_yscale() == "log"
    ticks = [tick for tick in ax.get_yticks() if ax.get_ylim()[0] <= tick <= ax.get_ylim()[1]]
    assert len(ticks) >= 3
    assert {"counted: 4.75", "entropy floor, 3.18"} <= set(ax.get_legend_handles_labels()[1])


def test_a_picture_is_whole_or_not_there(two: tuple[Path, Path], memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    def fail(figure: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    Path("curves.png").write_bytes(b"before")
    monkeypatch.setattr(Figure, "savefig", fail)
    result = memlm("compare", *two, "--plot", "curves.png", "--overwrite")
    assert refused(result) == "can't draw curves.png: No space left on device"
    assert Path("curves.png").read_bytes() == b"before"
    assert {path.name for path in Path().iterdir() if path.is_file()} == {"curves.png"}


def test_a_damaged_history_is_refused(two: tuple[Path, Path], memlm: Memlm):
    (two[0] / "metrics.jsonl").write_text('{"epoch": 1, "seconds": 1}\n' * 2)
    assert (
        refused(memlm("compare", *two, "--plot", "a.png"))
        == "can't draw the runs: a figure is missing in a metrics.jsonl"
    )


def test_differences_too_large_for_a_float():
    told = difference(1.0, 1.0, 1.0, 0.5).reversed
    far = replace(told, nats=900.0, low=800.0, high=1000.0)
    assert far.to_dict()["perplexity_ratio"] == math.inf
    assert in_words(replace(far, low=-1.0), "b", "a", "test").startswith(
        "no difference can be told between a and b on test: b has inf % higher perplexity"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("tokenizer", "zz"), ("tokenizer", []), ("data", 3), ("perplexity", "9"), ("tokens", None), ("label", 1)],
)
def test_a_damaged_evaluation_is_one_line(two: tuple[Path, Path], memlm: Memlm, key: str, value: object):
    path = two[1] / records.EVALUATIONS
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({name: passport | {key: value} for name, passport in kept.items()}))
    message = f"runs/b is damaged: evaluations.json holds no valid {key}"
    for command in (("compare", *two), ("compare", *two, "--json")):
        assert refused(memlm(*command)) == message
