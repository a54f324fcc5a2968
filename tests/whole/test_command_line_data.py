"""`memlm data`: what it prints, and how it ends."""

import hashlib
import json
from typing import Any

import pytest
from click.testing import CliRunner

from memlm.cli.data import command
from memlm.data.catalog import datasets
from memlm.data.catalog.entries import DataFile, Dataset
from memlm.errors import MemlmError

TEXTS = {"train": b"the cat sat\nthe end\n", "valid": b"a cat sat\n", "test": b"the dog\n"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on a toy dataset `toy`, whose files lie in `tmp_path / source`."""
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "root"))
    (tmp_path / "source").mkdir()
    for split, text in TEXTS.items():
        (tmp_path / "source" / split).write_bytes(text)
    files = tuple(
        DataFile(path=split, split=split, sha256=hashlib.sha256(text).hexdigest(), size=len(text))
        for split, text in TEXTS.items()
    )
    facts: dict[str, Any] = {"title": "Toy", "about": "a toy", "licence": "free to all", "homepage": "-"}
    mirrors = ("http://nowhere.invalid/",)
    monkeypatch.setitem(datasets.CATALOG, "toy", Dataset(name="toy", files=files, mirrors=mirrors, **facts))

    def run(*arguments, status=0):
        result = CliRunner().invoke(command, arguments)
        if isinstance(result.exception, MemlmError):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run


def test_help_names_the_verbs(run):
    assert all(verb in run("--help").stdout for verb in ("list", "get", "info", "verify"))


def test_list_says_what_is_there(run, tmp_path):
    assert "free to all" in run("list").stdout
    run("get", "toy", "--from", str(tmp_path / "source"))
    listed = json.loads(run("list", "--json").stdout)
    assert listed["root"] == str(tmp_path / "root")
    assert {entry["name"]: entry["present"] for entry in listed["datasets"]} == {
        "ptb": False,
        "stories": False,
        "babi": False,
        "stories-qa": False,
        "text8": False,
        "text8-head": False,
        "wikitext-2": False,
        "wikitext-103": False,
        "toy": True,
    }


def test_get_says_what_it_did(run, tmp_path):
    where = tmp_path / "root/toy"
    assert run("get", "toy", "--from", str(tmp_path / "source")).stdout == f"toy is there and verified: {where}\n"
    assert run("get", "toy").stdout == f"toy is already there and verified: {where}\n"


def test_errors_are_memlm_errors(run):
    with pytest.raises(MemlmError, match=r"did you mean 'ptb'\?"):
        run("get", "ptbb")
    for verb in ("info", "verify"):
        with pytest.raises(MemlmError, match="unknown dataset 'nope'"):
            run(verb, "nope")
    with pytest.raises(MemlmError, match=r"toy is not in .*; run: memlm data get toy"):
        run("verify", "toy")
    with pytest.raises(MemlmError, match=r"cannot connect.*memlm data get toy --from PATH"):
        run("get", "toy")


def test_info_counts_each_split(run, tmp_path):
    assert "not there; run: memlm data get toy" in run("info", "toy").stdout
    assert json.loads(run("info", "toy", "--json").stdout)["splits"] == {}
    run("get", "toy", "--from", str(tmp_path / "source"))
    facts = json.loads(run("info", "toy", "--json").stdout)
    counts = {
        name: tuple(split[key] for key in ("lines", "tokens", "types", "oov"))
        for name, split in facts["splits"].items()
    }
    assert counts == {"train": (2, 7, 5, 0), "valid": (1, 4, 4, 1), "test": (1, 3, 3, 1)}
    assert facts["present"]
    assert facts["licence"] == "free to all"
    text = run("info", "toy").stdout
    assert "nowhere.invalid" in text
    assert str(tmp_path / "root/toy") in text


def test_info_gives_the_floor_of_the_stories(run):
    run("get", "stories")
    splits = json.loads(run("info", "stories", "--json").stdout)["splits"]
    assert all(1 < splits[name]["floor_perplexity"] < 20 for name in ("train", "valid", "test"))
    assert f"{splits['valid']['floor_perplexity']:.4f}" in run("info", "stories").stdout


def test_info_counts_the_tasks_of_questions(run):
    facts = json.loads(run("info", "stories-qa", "--json").stdout)
    assert facts["splits"]["en/train"]["questions"] == 6000
    first, *_, last = facts["tasks"]
    assert (first["task"], first["name"], first["train"], first["test"]) == (1, "where is somebody", 1000, 1000)
    assert (first["answers"], first["longest_story"], first["longest_sentence"]) == (6, 15, 5)
    # 4 people, 6 places, the verbs, `to the` and `where is`; as answers, places are words like any other.
    assert first["types"] == 4 + 6 + 3 + 2 + 2
    assert (last["task"], last["answers"]) == (6, 1 + 4 + 4 * 3)  # nothing, one thing, two in their order
    assert "where is something" in run("info", "stories-qa").stdout
    assert "tasks" not in json.loads(run("info", "stories", "--json").stdout)


def test_verify_ends_with_2_and_one_line_a_bad_file(run, tmp_path):
    run("get", "toy", "--from", str(tmp_path / "source"))
    assert run("verify", "toy").stderr == ""
    place = tmp_path / "root/toy"
    (place / "valid").write_bytes(b"a cow sat\n")
    (place / "test").unlink()
    result = run("verify", "toy", status=2)
    first, second = result.stderr.splitlines()
    assert first.startswith(f"Error: {place / 'valid'} is not the known file: sha256")
    assert second == f"Error: {place / 'test'} is missing"
    verdict = json.loads(run("verify", "toy", "--json", status=2).stdout)
    assert verdict["ok"] is False
    assert [file["ok"] for file in verdict["files"]] == [True, False, False]
