"""Runs are checked: they are whole, and give the figures that they noted."""

import json
import shutil
from pathlib import Path

from memlm.diagnostics import runs
from tests.helpers.golden import GOLDEN


def test_a_perplexity_that_is_not_the_one_noted_is_found(run: Path, corpus: Path):
    assert runs.check_run(run).ok
    text = (corpus / "valid.txt").read_text()
    (corpus / "valid.txt").write_text(text.replace("a1", "d"))
    check = runs.check_run(run)
    assert check.ok is False
    assert "is not the one that runs/a was trained on" in check.found
    env = json.loads((run / "env.json").read_text())
    del env["data_sha256"]  # as runs of the first releases
    (run / "env.json").write_text(json.dumps(env))
    check = runs.check_run(run)
    assert check.ok is False
    assert "recorded" in check.found


def test_what_an_old_run_did_not_note_is_said_and_no_failure(run: Path, corpus: Path, tmp_path: Path):
    old = Path(shutil.copytree(GOLDEN / "run-v1" / "lstm", tmp_path / "old"))
    config = (old / "config.toml").read_text()
    (old / "config.toml").write_text(config.replace("/tmp/memlm-golden/corpus", "/nowhere"))
    check = runs.check_run(old)
    assert check.ok is None
    assert "its text, /nowhere, is not on this machine" in check.found
    (old / "config.toml").write_text(config.replace("/tmp/memlm-golden/corpus", str(corpus)))
    check = runs.check_run(old)
    assert check.ok is None
    assert "without hashes; no perplexity was recorded" in check.found
    shutil.rmtree(run / "best")
    assert runs.check_run(run).ok is None
