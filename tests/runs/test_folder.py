"""The run folder: what it holds, who holds it, and what is never removed from it."""

import os
from pathlib import Path

import pytest

from memlm.config.run import Config
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.runs.folder import RunFolder, free_folder
from tests.helpers.command_line import SMALL, Memlm


def test_a_run_that_was_cut_off_in_its_first_file_can_begin_again(memlm: Memlm, corpus: Path):
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/env.json.new").write_text('{"da')
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    assert not Path("runs/a/env.json.new").exists()


@pytest.fixture
def run(tmp_path: Path, vocabulary: Vocabulary) -> RunFolder:
    return RunFolder.create(tmp_path / "run", Config(), vocabulary, device="cpu")


def test_a_new_folder_holds_what_a_run_is_made_with(run: RunFolder, vocabulary: Vocabulary):
    assert {path.name for path in run.path.iterdir()} == {"env.json", "config.toml", "vocab.txt"}
    assert run.environment()["device"] == "cpu"
    assert run.environment()["vocabulary_sha256"] == vocabulary.sha256
    assert RunFolder.open(run.path).manifest().config == Config().resolved()
    assert run.metrics() == []
    assert run.read_json("summary.json") == {}


def test_a_run_is_replaced_only_when_that_is_asked_for(run: RunFolder, vocabulary: Vocabulary):
    run.write_json("summary.json", {"old": 1})
    run.write_bytes("scores/a.safetensors", b"old")
    with pytest.raises(
        MemlmError, match="run holds a run: choose another --run-dir, --resume it, or give --overwrite"
    ):
        RunFolder.create(run.path, Config(), vocabulary)
    assert run.read_json("summary.json") == {"old": 1}
    RunFolder.create(run.path, Config(), vocabulary, overwrite=True)
    assert {path.name for path in run.path.iterdir()} == {"env.json", "config.toml", "vocab.txt"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_of_a_run_is_never_removed(overwrite: bool, run: RunFolder, tmp_path: Path):
    (run.path / "thesis.tex").write_text("years of work")
    with pytest.raises(MemlmError, match=r"run holds 'thesis\.tex', which is not part of a run"):
        run.check_free(overwrite=overwrite)
    alien = RunFolder(tmp_path / "alien")
    alien.path.mkdir()
    (alien.path / "last").mkdir()  # the name is ours, but nothing marks the folder
    with pytest.raises(MemlmError, match="alien holds 'last', which is not part of a run"):
        alien.check_free(overwrite=overwrite)


def test_a_folder_is_held_by_one_and_says_by_whom(run: RunFolder):
    with run.locked():
        with (
            pytest.raises(MemlmError, match=rf"run is in use by process {os.getpid()} on .*: wait for it, or stop it"),
            RunFolder(run.path).locked(),
        ):
            pass
        run.check_free(overwrite=True)  # the lock is not in the way
    assert not (run.path / "lock").exists()
    with run.locked():
        pass


def test_a_resume_forgets_the_figures_of_the_earlier_end(run: RunFolder):
    for name in ("summary.json", "evaluations.json", "scores/a.safetensors", "best/checkpoint.json"):
        run.write_bytes(name, b"{}")
    run.note_resume(device="cuda")
    run.note_resume(device="cpu")
    assert [noted["device"] for noted in run.environment()["resumed"]] == ["cuda", "cpu"]
    assert run.environment()["device"] == "cpu"
    left = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert left == {"env.json", "config.toml", "vocab.txt", "best/checkpoint.json"}


def test_metrics_come_back_and_a_damaged_line_is_named(run: RunFolder):
    run.write_metrics([{"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": 1.5}])
    assert run.metrics() == [{"epoch": 1, "loss": None}, {"epoch": 2, "loss": 1.5}]
    for line in (b"[1]\n", b"{\n", b"\xff\n"):
        run.write_bytes("metrics.jsonl", line)
        with pytest.raises(MemlmError, match=r"metrics\.jsonl is damaged: a line is not a JSON object"):
            run.metrics()


def test_only_a_folder_with_settings_is_a_run(tmp_path: Path):
    with pytest.raises(MemlmError, match="none does not exist; give a folder that `memlm train` has made"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(MemlmError, match=r"is not a run: it has no config\.toml"):
        RunFolder.open(tmp_path)


def test_free_folders_are_numbered_and_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert [str(free_folder("a")) for _ in range(3)] == ["runs/a", "runs/a-2", "runs/a-3"]
    assert Path("runs/a-3").is_dir()
