"""Training on any text from the command line: one file, a head of text8, and files that are odd."""

import gzip
import json
import os
import tomllib
from pathlib import Path

import pytest

from memlm.config.data import DataConfig
from memlm.config.run import Config
from memlm.data.dataset import resolved_config
from tests.helpers.command_line import Memlm

TINY = ("--hops", 1, "--memory-size", 2, "--units", 4, "--max-steps", 2, "--batch-size", 8, "--device", "cpu")
HEAD = b" anarchism originated as a term of abuse first used against early working class radicals"


def test_the_settings_of_a_text_go_with_the_run(memlm: Memlm):
    Path("my.txt").write_text("A cat sat\nthe dog sat\n" * 200)
    options = ("--split", "8,1,1", "--lowercase", "--vocab-size", 5)
    result = memlm("train", "--dataset", "my.txt", *options, *TINY, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    assert "one file, split 8,1,1 at the ends of lines" in result.output
    config = tomllib.loads(Path("runs/a/config.toml").read_text())
    assert config["dataset"] == str(Path("my.txt").resolve())
    wanted = {"split": "8,1,1", "lowercase": True, "vocab_size": 5, "min_count": 1}
    assert wanted.items() <= config["data"].items()
    assert Path("runs/a/vocab.txt").read_text().split() == [
        "<eos>",
        "<unk>",
        "sat",
        "a",
        "cat",
    ]  # `the` and `dog` are <unk>
    passport = json.loads(memlm("eval", "runs/a", "--json").stdout)
    assert wanted.items() <= passport["data"].items()
    assert (passport["tokens"], passport["words"]) == (160, 160)
    assert passport["oov_share"] == pytest.approx(2 / 8)  # the and dog, of two lines of four
    result = memlm("train", "--resume", "runs/a", "--no-lowercase")
    assert result.exit_code == 2
    assert "--lowercase can't be changed on --resume" in result.stderr
    path = Path("runs/a/config.toml")
    path.write_text(path.read_text().replace("lowercase = true", "lowercase = false"))
    result = memlm("eval", "runs/a")
    assert result.stderr == (
        f"Error: [data] of {Path('runs/a/config.toml')} is damaged: it differs from what the run was made with, as "
        "recorded in env.json\n"
    )


def test_a_head_of_text8_never_goes_by_its_name(memlm: Memlm):
    with gzip.open("head.gz", "wb") as file:
        file.write(HEAD * 40 + b" and rare")
    assert memlm("data", "get", "text8", "--from", "head.gz").exit_code == 2
    assert "text8-head is there and verified" in memlm("data", "get", "text8", "--from", "head.gz", "--head").output
    result = memlm("train", "--dataset", "text8-head", *TINY)
    assert result.exit_code == 0, result.output
    (run,) = Path("runs").iterdir()
    assert run.name == "text8-head-memn2n-1x2"
    passport = json.loads(memlm("eval", run, "--json").stdout)
    assert (passport["dataset"], passport["data"]["min_count"]) == ("text8-head", 11)
    assert "on text8-head test" in memlm("eval", run).stdout
    assert memlm("data", "get", "ptb", "--from", "head.gz", "--head").exit_code == 2
    assert memlm("data", "verify", "text8-head").exit_code == 0
    assert not Path("data/text8").exists()


def test_text8_is_read_as_the_paper_did():
    assert resolved_config(Config(dataset="text8")).data == DataConfig(min_count=11)
    assert resolved_config(Config(dataset="text8", data=DataConfig(min_count=5))).data.min_count == 5
    assert resolved_config(Config(dataset="ptb")).data == DataConfig(min_count=1)


LINES = b"one two\nthree two\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES * 50, ""),
        (LINES * 50 + b"no line end", ""),
        (LINES.replace(b"\n", b"\r\n") * 50, ""),
        (b"\xef\xbb\xbf" + LINES * 50, ""),
        (b"one line " * 200, ""),
        (b"one line " * 200 + b"\n", ""),
        (LINES * 50 + b"long " * 200_000 + b"\n" + LINES * 5 * 10**4, ""),
        (b"\n" * 100, ""),
        (b"", "odd.txt is empty"),
        (b"\xef\xbb\xbf", "odd.txt can't be split 90,5,5 at the ends of words: nothing is left for valid"),
        (b"word", "odd.txt can't be split 90,5,5 at the ends of words: nothing is left for valid"),
        (LINES + b"a\0b\n" + LINES * 50, "odd.txt is not UTF-8 text: it holds a NUL (line 3, byte 2)"),
        (LINES * 50 + b"a\0b\n", "odd.txt is not UTF-8 text: it holds a NUL (line 101, byte 2)"),
        (LINES * 50 + b"na\xefve\n" + LINES, "odd.txt is not UTF-8 text (line 101, byte 3)"),
        ("one two\n".encode("utf-16") * 50, "odd.txt is not UTF-8 text (line 1, byte 1)"),
        (
            LINES + b"a" * 2_000_000 + b"\n" + LINES * 20_000,
            "odd.txt is not UTF-8 text: a word of more than 1,000,000 characters (line ",
        ),
    ],
    ids=range(16),
)
def test_an_odd_file_is_trained_on_or_refused_in_one_line(memlm: Memlm, content: bytes, message: str):
    Path("odd.txt").write_bytes(content)
    result = memlm("train", "--dataset", "odd.txt", *TINY, "--run-dir", "runs/a")
    assert result.exit_code == (2 if message else 0), result.output
    if message:
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not Path("runs").exists()


def test_a_pipe_is_no_text(memlm: Memlm, corpus: Path):
    os.mkfifo("pipe")
    memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", "runs/a")
    for arguments in (("eval", "runs/a", "--text", "pipe"), ("data", "info", "pipe"), ("train", "--dataset", "pipe")):
        result = memlm(*arguments)
        assert result.exit_code == 2
        assert result.stderr.endswith("pipe is a pipe or a device: save it to a file first\n")
        assert len(result.stderr.splitlines()) == 1
