"""Runs of earlier releases stay readable for ever: their perplexities hold, and they go on where they were.

`run-v1` was made by memlm 0.1.0 at 2cf5951: checkpoints of format 1, `last` in the middle of epoch 3 of 4, on the text
of the `corpus` fixture; `expected.json` holds what that commit said of them, and how the unbroken runs ended.
"""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import memlm as package
from tests.helpers.command_line import Memlm
from tests.helpers.golden import GOLDEN

EXPECTED = json.loads((GOLDEN / "run-v1" / "expected.json").read_text())
RUNS = ["memn2n", "lstm"]
ENDS = json.loads((GOLDEN / "run-v2" / "expected.json").read_text())


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("which", ["best", "last"])
def test_the_perplexity_of_a_checkpoint_of_the_first_release_holds(name: str, which: str):
    model = package.load(GOLDEN / "run-v1" / name, checkpoint=which)
    assert model.perplexity(EXPECTED["text"]) == pytest.approx(EXPECTED["perplexity"][name][which], rel=1e-6)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_the_first_release_goes_on(name: str, memlm: Memlm, corpus: Path, tmp_path: Path):
    run = Path(shutil.copytree(GOLDEN / "run-v1" / name, tmp_path / name))
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("/tmp/memlm-golden/corpus", str(corpus)))
    result = memlm("train", "--resume", run)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["valid_perplexity"] == pytest.approx(EXPECTED["perplexity"][name]["end"], rel=1e-4)


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in ("seconds", "tokens_per_second")} for line in lines
    ]


def close(value: Any) -> Any:
    """Other hardware sums in another order; on that which made the runs, resumed ones end the same to the bit."""
    if isinstance(value, dict):
        return {key: close(item) for key, item in value.items()}
    if isinstance(value, list):
        return [close(item) for item in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


@pytest.mark.parametrize("name", ENDS)
def test_a_run_that_was_left_half_way_goes_on_to_the_same_end(name: str, memlm: Memlm, tmp_path: Path):
    """`run-v2`: checkpoints of format 2 in the middle of an epoch, made by memlm 0.1.0 at 2e158db."""
    run, corpus = Path(shutil.copytree(GOLDEN / "run-v2" / name, tmp_path / name)), tmp_path / "corpus"
    corpus.mkdir()
    rng = random.Random(1)
    for split, lines in (("train", 120), ("valid", 60), ("test", 60)):
        text = "".join(f"a{i % 3} b{rng.randrange(5)} c{i % 3} d\n" for i in range(lines))
        (corpus / f"{split}.txt").write_text(text)
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("/tmp/memlm-golden/corpus", str(corpus)))
    result = memlm("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert metrics(run) == close(ENDS[name])
    assert package.load(run) is not None
