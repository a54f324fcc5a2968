"""The command line as a user meets it: whole runs on a small corpus, and one line for every mistake."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from memlm.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, Memlm, refused
from tests.helpers.faults import fail_disk_call


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    """A finished run of a small memory network."""
    result = memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    return Path("runs/a")


def test_a_run_folder_holds_what_it_should(run: Path):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "env.json", "vocab.txt", "metrics.jsonl", "summary.json", "best", "last"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["model"] | {"name": "memn2n", "hops": 2, "linear_units": 6} == config["model"]
    assert config["train"]["lr"] == 0.01
    assert {"torch", "python", "cpu", "commit", "command"} <= json.loads((run / "env.json").read_text()).keys()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
    assert not [path for path in run.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".bin")]


def test_eval_agrees_with_training_and_is_kept(run: Path, memlm: Memlm):
    summary = json.loads((run / "summary.json").read_text())
    result = memlm("eval", run, "--split", "test", "--json")
    score = json.loads(result.stdout)
    keys = {"model", "dataset", "split", "protocol", "checkpoint", "parameters", "tokens", "oov", "nats", "perplexity"}
    assert keys <= score.keys()
    assert score["tokens"] == 100
    assert score["perplexity"] == pytest.approx(summary["test_perplexity"])
    facebook = json.loads(memlm("eval", run, "--protocol", "facebook", "--json").stdout)
    assert facebook["tokens"] == 128
    last = memlm("eval", run, "--checkpoint", "last", "--split", "valid")
    assert "perplexity" in last.stdout


def test_compare_puts_runs_side_by_side(run: Path, memlm: Memlm, corpus: Path):
    lstm = memlm("train", "--dataset", corpus, "--model", "lstm", "--units", 8, "--epochs", 1, "--run-dir", "runs/b")
    assert lstm.exit_code == 0, lstm.output
    table = memlm("compare", run, "runs/b").stdout
    assert "memn2n-2x8" in table
    assert "lstm-1x8" in table
    rows = json.loads(memlm("compare", run, "runs/b", "--json").stdout)
    assert [row["run"] for row in rows] == ["runs/a", "runs/b"]
    assert rows[0]["test_perplexity"] == json.loads((run / "summary.json").read_text())["test_perplexity"]


def test_compare_refuses_what_does_not_compare(run: Path, memlm: Memlm, corpus: Path, tmp_path: Path):
    other = shutil.copytree(corpus, tmp_path / "other" / "corpus")
    (other / "valid.txt").write_text("a0 b0 c0\n" * 20)
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/b", "--max-steps", 1).exit_code == 0
    assert memlm("compare", run, "runs/b").exit_code == 0

    assert memlm("train", "--dataset", other, *SMALL, "--run-dir", "runs/c").exit_code == 0
    assert "runs/a and runs/c can't be compared: the dataset differs" in refused(memlm("compare", run, "runs/c"))

    path = Path("runs/b/evaluations.json")
    scores = json.loads(path.read_text())
    for changes, words in (
        ({"protocol": "facebook"}, "the protocol differs (exact, facebook)"),
        ({"text_sha256": "0", "vocabulary_sha256": "0"}, "they were scored on different texts"),
        ({"text_sha256": None, "vocabulary_sha256": "0"}, "the vocabulary differs"),
        ({"text_sha256": None, "data_sha256": "0"}, "the text differs"),
    ):
        changed = {name: score | changes for name, score in scores.items()}
        path.write_text(json.dumps(changed))
        assert words in refused(memlm("compare", run, "runs/b"))
    path.unlink()
    assert (
        "runs/b has no exact score of its best checkpoint on valid: run `memlm eval runs/b --split valid`"
        in refused(memlm("compare", run, "runs/b"))
    )


def test_a_run_is_not_overwritten_unasked(run: Path, memlm: Memlm, corpus: Path):
    before = (run / "summary.json").read_text()
    again = ("train", "--dataset", corpus, *SMALL, "--run-dir", run)
    assert "holds a run: choose another --run-dir" in refused(memlm(*again))
    assert (run / "summary.json").read_text() == before
    assert memlm(*again, "--seed", 5, "--overwrite").exit_code == 0
    assert (run / "summary.json").read_text() != before
    for folder in (run, corpus):
        (folder / "thesis.txt").write_text("three years of work")
        assert "which is not part of a run" in refused(memlm(*again[:-1], folder, "--overwrite"))
    assert (corpus / "train.txt").exists()
    assert (run / "best").exists()


def test_runs_without_a_name_get_a_free_one(memlm: Memlm, corpus: Path):
    for _ in range(2):
        assert memlm("train", "--dataset", corpus, *SMALL).exit_code == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["corpus-memn2n-2x8", "corpus-memn2n-2x8-2"]


def test_resume_goes_on_with_more_epochs(run: Path, memlm: Memlm):
    assert "has finished (epochs): give more --epochs" in refused(memlm("train", "--resume", run))
    said = refused(memlm("train", "--resume", run, "--lr", 1))
    assert "--lr can't be changed on --resume: only --epochs, --max-steps, --device, --checkpoint-every, " in said
    words = " ".join(memlm("train", "--help").output.split()).replace("- ", "-")
    for option in said.split("only ")[1].removesuffix(" can").split(", "):
        assert option in words.split("where it stopped; only ")[1].split(" may be changed")[0]
    assert memlm("train", "--resume", run, "--epochs", 4, "--checkpoint-every", "3").exit_code == 0
    epochs = [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4]


def test_a_resumed_run_has_no_figures_of_its_earlier_end(run: Path, memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("memlm.experiments.signals.SignalRequests.stop", lambda stop: True)
    assert memlm("train", "--resume", run, "--epochs", 4).exit_code == 0
    assert not (run / "summary.json").exists()
    assert "has no exact score of its best checkpoint" in refused(memlm("compare", run))


def test_a_score_of_an_earlier_best_state_does_not_count(run: Path, memlm: Memlm):
    scores = json.loads((run / "evaluations.json").read_text())
    earlier = {name: score | {"step": score["step"] - 1} for name, score in scores.items()}
    (run / "evaluations.json").write_text(json.dumps(earlier))
    assert "has no exact score of its best checkpoint" in refused(memlm("compare", run))


def test_a_run_goes_on_with_its_own_text_alone(run: Path, memlm: Memlm, corpus: Path):
    (corpus / "valid.txt").write_text("a0 b0 c0\n" * 20)
    assert "is not the one that runs/a was trained on" in refused(memlm("train", "--resume", run, "--epochs", 4))


def test_what_is_scored_is_the_text_of_the_run(run: Path, memlm: Memlm, corpus: Path):
    before, env = (run / "evaluations.json").read_text(), json.loads((run / "env.json").read_text())
    (corpus / "test.txt").write_text("a0 b0 c0\n" * 20)
    said = refused(memlm("eval", run))
    assert said.startswith(f"the test text of {corpus} is not the one that runs/a was trained on: restore that text")
    assert said.endswith("or score this one with --text")
    assert (run / "evaluations.json").read_text() == before
    assert memlm("eval", run, "--split", "valid").exit_code == 0
    assert memlm("eval", run, "--text", corpus / "test.txt").exit_code == 0
    del env["data_sha256"]  # as runs of the first releases
    (run / "env.json").write_text(json.dumps(env))
    assert memlm("eval", run).exit_code == 0


def test_an_end_that_failed_is_made_up_for(run: Path, memlm: Memlm):
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").unlink()
    (run / "evaluations.json").unlink()
    assert memlm("train", "--resume", run).exit_code == 0
    assert json.loads((run / "summary.json").read_text()) == summary
    assert memlm("compare", run).exit_code == 0


@pytest.mark.parametrize("state", ['{"format": 1}', '{"format": 1, "progress": {"odd": 1}}', "[]", "{"])
def test_a_damaged_state_is_named(state: str, run: Path, memlm: Memlm):
    shutil.rmtree(run / "last.previous")
    (run / "last/checkpoint.json").write_text(state)
    assert "damaged" in refused(memlm("train", "--resume", run, "--epochs", 4))


def test_settings_from_recipe_file_and_options_in_this_order(memlm: Memlm, corpus: Path, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("[model]\nhops = 3\nunits = 10\n[train]\nepochs = 1\nmax_steps = 2\n")
    arguments = (
        "--recipe",
        "table2-7x200",
        "--config",
        file,
        "--units",
        8,
        "--dataset",
        corpus,
        "--run-dir",
        "runs/x",
    )
    result = memlm("train", *arguments)
    assert result.exit_code == 0, result.output
    model = tomllib.loads(Path("runs/x/config.toml").read_text())["model"]
    assert (model["hops"], model["memory_size"], model["units"], model["linear_units"]) == (3, 200, 8, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hops", 0], "hops is 0; it must be at least 1"),
        (["--dataset", "pbt"], "unknown dataset 'pbt': did you mean 'ptb'?"),
        (["--dataset", "text8-head"], "can only be imported: memlm data get text8 --from FILE --head"),
        (
            ["--dataset", "babi", "--model", "memn2n"],
            "memn2n can't be trained on babi: --model memn2n-qa or lstm-qa can",
        ),
        (["--dataset", "ptb", "--recipe", "bow"], "memn2n-qa can't be trained on ptb: --model memn2n or lstm"),
        (["--memory-size", 600], "memory_size is 600, but the training split"),
        (["--model", "lstm", "--hops", 2], "--hops is not a setting of lstm"),
        (["--recipe", "lstm-100", "--model", "memn2n"], "--model memn2n does not fit recipe lstm-100"),
        (["--config", "missing.toml"], "no config file at missing.toml"),
        (["--config", "typo.toml"], "'hop': did you mean 'hops'?"),
        (["--batch-size", 3], "it must be a multiple of chunk_length"),
        (["--device", "cuda"], "PyTorch sees no CUDA device here"),
        (["--resume", "runs/none"], "runs/none does not exist; give a folder that `memlm train` has made"),
        (["--tying", "loose"], "'loose' is not one of 'layerwise', 'adjacent'"),
        (["--hop"], "No such option"),
        (["--dataset", "my/corpus"], "no file or folder my/corpus: a dataset is a name"),
        (["--seed", 10**30], "it must be below"),
    ],
)
def test_bad_settings_are_refused_and_leave_nothing(
    arguments: list[object], message: str, memlm: Memlm, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    Path("typo.toml").write_text("[model]\nhop = 3\n")
    dataset = () if {"--dataset", "--resume"} & set(arguments) else ("--dataset", corpus)
    assert message in refused(memlm("train", *dataset, *arguments))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("split", "content", "message"),
    [("train", b"", "train.txt is empty"), ("valid", b"\xff\xfe", "valid.txt is not UTF-8 text (line 1, byte 1)")],
)
def test_bad_texts_are_refused_and_leave_nothing(split: str, content: bytes, message: str, memlm: Memlm, corpus: Path):
    (corpus / f"{split}.txt").write_bytes(content)
    assert message in refused(memlm("train", "--dataset", corpus, *SMALL))
    assert not Path("runs").exists()


def test_damaged_runs_are_named(run: Path, memlm: Memlm):
    assert "is not a run" in refused(memlm("eval", "."))
    assert "has no split 'dev'" in refused(memlm("eval", run, "--split", "dev"))
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("units = 12", "units = 14"))
    assert "[model] of runs/a/config.toml is damaged: it differs from what the run was made with" in refused(
        memlm("eval", run)
    )
    (run / "env.json").rename(run / "env.json.away")  # of the first release, which did not note it
    assert "model.safetensors belongs to another model" in refused(memlm("eval", run))
    (run / "env.json.away").rename(run / "env.json")
    (run / "config.toml").write_text(config)
    words = (run / "vocab.txt").read_text()
    (run / "vocab.txt").write_text(words.replace("a1", "a9"))
    assert "vocab.txt is damaged: it differs from what the run was made with" in refused(memlm("eval", run))
    (run / "vocab.txt").write_text(words)
    shutil.rmtree(run / "best")
    shutil.rmtree(run / "best.previous")
    assert "has no checkpoint 'best' yet" in refused(memlm("eval", run))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(number: int, status: int, corpus: Path, tmp_path: Path):
    command = [sys.executable, "-m", "memlm", "train", "--dataset", str(corpus), "--hops", "2", "--memory-size", "8"]
    options = ["--units", "12", "--epochs", "1000000", "--min-lr", "0", "--run-dir", "runs/a"]
    with subprocess.Popen(
        [*command, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "runs/a/best").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("saved at step "):
            assert line, "it ended"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "memlm train --resume runs/a" in out
    assert "Traceback" not in err
    assert (tmp_path / "runs/a/last/checkpoint.json").exists()


def test_a_run_is_trained_by_one_process_at_a_time(run: Path, memlm: Memlm, corpus: Path):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with RunFolder(run).locked():
        name = f"runs/a is in use by process {os.getpid()} on {socket.gethostname()}: wait for it, or stop it"
        assert refused(memlm("train", "--resume", run, "--epochs", 4)) == name
        assert refused(memlm("train", "--dataset", corpus, *SMALL, "--run-dir", run, "--overwrite")) == name
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert memlm("train", "--resume", run, "--epochs", 4).exit_code == 0
    assert not (run / "lock").exists()


def test_a_run_that_was_cut_off_before_it_was_one_leaves_its_folder_free(memlm: Memlm, corpus: Path):
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/lock").write_text("process 1 on another\n")
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    Path("runs/a/config.toml").unlink()
    assert "is not a run" in refused(memlm("train", "--resume", "runs/a"))
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0


def test_a_damaged_last_state_is_said_and_the_one_before_it_goes_on(
    run: Path, memlm: Memlm, caplog: pytest.LogCaptureFixture
):
    straight = memlm("train", "--resume", shutil.copytree(run, "runs/b"), "--epochs", 4)
    assert straight.exit_code == 0
    weights = run / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert memlm("train", "--resume", run, "--epochs", 4).exit_code == 0
    assert "the previous checkpoint, runs/a/last.previous, is whole and is used instead" in caplog.text
    assert weights.read_bytes() == Path("runs/b/last/model.safetensors").read_bytes()
    assert (run / "last.damaged").is_dir()


def test_a_folder_that_can_only_be_read_is_named(run: Path, memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    before = (run / "last/checkpoint.json").read_bytes()
    with fail_disk_call(monkeypatch, 0, errno.EROFS):
        result = memlm("train", "--resume", run, "--epochs", 4)
    assert "Read-only file system" in refused(result)
    assert (run / "last/checkpoint.json").read_bytes() == before


def test_a_precision_that_this_cpu_only_emulates_is_said_to_be_slow(
    memlm: Callable[..., Result], corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    train = ("train", "--dataset", corpus, *SMALL, "--device", "cpu", "--precision", "bfloat16", "--run-dir")
    for run, there in (("a", True), ("b", False)):
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda there=there: there)
        output = memlm(*train, f"runs/{run}").output
        assert ("no instructions for bfloat16" in output) == (not there)
