"""The README's commands exist and run: on a small corpus in place of PTB, with fewer steps."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import memlm as package
from tests.helpers.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
QUICK_QA = ["--restarts", "2", "--epochs", "1", "--linear-epochs", "1"]
QUICK = ("--max-steps", "3", "--memory-size", "8", "--units", "6")


def section(title: str) -> str:
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(title: str) -> list[str]:
    """The commands of a section's indented blocks, without their comments."""
    lines = [line.split("#")[0].strip() for line in section(title).splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith("memlm ")]


def test_the_commands_run_in_their_order(
    memlm: Callable[..., Result], corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    corpus.rename(tmp_path / "ptb")  # what the README calls ptb is a folder of this name here
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    Path("text.txt").write_text("a0 b0 c0 d\n")
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 10)
    lines = [
        line
        for part in ("Use", "Pieces and characters", "Putting a model to use", "What the memory attends to")
        for line in commands(part)
    ]
    verbs = [line.split()[1] for line in lines]
    assert verbs[:5] == [*["train"] * 3, "eval", "compare"]
    assert verbs[5:] == [*["train"] * 2, "compare", "score", "generate", "eval", "export", "attend", "attend"]
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "train":
            words += () if "kneser-ney" in words else ("--max-steps", "3") if "lstm" in words else QUICK
        words = [word.replace("memn2n-6x100", "memn2n-6x8").replace("4000", "270") for word in words]
        result = memlm(*words)
        assert result.exit_code == 0, (line, result.output)


def test_the_commands_of_any_text_run(memlm: Callable[..., Result], corpus: Path, monkeypatch: pytest.MonkeyPatch):
    corpus.rename("text8")  # as ptb above
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    Path("my.txt").write_text("The cat sat on the mat\nA dog sat\n" * 100)
    lines = commands("Any text")
    assert any("--dataset my.txt --split" in line for line in lines)
    for line in lines:
        words = shlex.split(line)[1:]
        words += QUICK if "my.txt" in words else ("--max-steps", "3", "--units", "6")
        result = memlm(*words)
        assert result.exit_code == 0, (line, result.output)
    assert memlm("data", "info", "my.txt").exit_code == 0


def test_the_commands_of_question_answering_run_in_their_order(memlm: Callable[..., Result], real_data: Path):
    Path("story.txt").write_text("Mary went to the kitchen.\nJohn moved to the garden.\n")
    lines = commands("Question answering")
    assert [line.split()[1] for line in lines] == ["data", "train", "eval", "ask"]
    for line in lines:
        words = shlex.split(line)[1:]
        words += {"data": ["--from", str(real_data / "babi")], "train": QUICK_QA}.get(words[0], [])
        result = memlm(*words)
        assert result.exit_code == 0, (line, result.output)
    assert "prediction" in result.output
    scope: dict[str, object] = {"memlm": package}
    exec(section("Question answering").split("```python")[1].split("```")[0], scope)
    assert isinstance(scope["answer"], package.Answer)
    assert len(scope["answer"].sentences) == 2


def test_the_targets_of_make_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_it_names_is_there(memlm: Callable[..., Result]):
    recipes = memlm("recipes").output
    for name in re.findall(r"--recipe ([\w-]+)", README):
        assert name in recipes
    verbs = (("train",), ("eval",), ("ask",), ("attend",), ("score",), ("reproduce", "table1"))
    options = "".join(memlm(*verb, "--help").output for verb in verbs)
    for option in re.findall(r"`(--[a-z-]+)", README):
        assert option in options, option
    tree = README.split("## What is where")[1].split("A run folder")[0]
    packages = {path.name for path in (REPOSITORY / "memlm").iterdir()}
    for name in re.findall(r"memlm/(\w+)/", tree):
        assert name in packages, name


def test_its_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for name in pictures:
        assert 0 < (REPOSITORY / name).stat().st_size < 60_000, name


def test_the_python_lines_run(memlm: Callable[..., Result], corpus: Path):
    run = Path("runs/ptb-memn2n-6x100")
    assert memlm("train", "--dataset", corpus, *QUICK, "--run-dir", run).exit_code == 0
    code = section("Use").split("```python")[1].split("```")[0]
    scope: dict[str, object] = {}
    exec(code, scope)
    assert isinstance(scope["after"], package.NextWord)
