"""The README's commands and lines of Python run: on a small corpus in place of PTB, with small models."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import memlm as package
from memlm.config.run import AnyConfig, changed
from tests.helpers.registries import restored_registries
from tests.helpers.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
QUICK = {"epochs": 1, "memory_size": 8, "units": 6}
QUICK_QA = {"restarts": 2, "epochs": 1, "linear_epochs": 1}
TEXTS = (  # sections whose commands use the runs of those before
    "From the command line",
    "Stop, resume, fine-tune",
    "Using a model",
    "What the memory attends to",
    "Pieces and characters",
    "Restarts",
)


def section(title: str) -> str:
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(text: str) -> list[str]:
    """The commands of the indented blocks of a text, without their comments."""
    lines = [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith("memlm ")]


def options(settings: Mapping[str, int], *names: str) -> list[str]:
    """Settings as options of a command line."""
    return [word for name in names for word in (f"--{name.replace('_', '-')}", str(settings[name]))]


def run_all(memlm: Callable[..., Result], lines: list[str], more: Callable[[list[str]], list[str]]) -> str:
    """Run commands in their order, with `more` words at the end of each; the output of the last one."""
    for line in lines:
        words = shlex.split(line)[1:]
        words = [word.replace("memn2n-6x100", "memn2n-6x8").replace("4000", "270") for word in words]
        result = memlm(*words, *more(words))
        assert result.exit_code == 0, (line, result.output)
    return result.output


def test_every_command_is_in_a_test():
    tested = [line for title in (*TEXTS, "Any text", "Question answering") for line in commands(section(title))]
    assert sorted(tested) == sorted(commands(README))


def test_the_commands_run_in_their_order(
    memlm: Callable[..., Result], corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    corpus.rename(tmp_path / "ptb")  # what the README calls ptb is a folder of this name here
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    Path("text.txt").write_text("a0 b0 c0 d\n")
    Path("my.txt").write_text("a0 b0 c0 d\n" * 100)
    monkeypatch.setattr("memlm.inference.streams.dynamic.STATISTICS_SEGMENTS", 10)
    lines = [line.replace("--epochs 120", "--epochs 2") for title in TEXTS for line in commands(section(title))]
    assert [line.split()[1] for line in lines] == [
        *["train"] * 3, *["eval", "compare"],
        *["train"] * 2,
        *["score", "generate", "eval", "export"],
        *["attend"] * 2,
        *["train"] * 2, "compare",
        "train",
    ]  # fmt: skip

    def more(words: list[str]) -> list[str]:
        if words[0] != "train" or "kneser-ney" in words or "--resume" in words:
            return []
        of_memn2n = () if "lstm" in words or "--init-from" in words else ("memory_size", "units")
        return options(QUICK, "epochs", *of_memn2n)

    run_all(memlm, lines, more)


def test_the_commands_of_any_text_run(memlm: Callable[..., Result], corpus: Path, monkeypatch: pytest.MonkeyPatch):
    corpus.rename("text8")  # as ptb above
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    Path("my.txt").write_text("The cat sat on the mat\nA dog sat\n" * 100)
    lines = commands(section("Any text"))
    assert any("--dataset my.txt --split" in line for line in lines)
    run_all(memlm, lines, lambda words: options(QUICK, *(QUICK if "my.txt" in words else ("epochs", "units"))))
    assert memlm("data", "info", "my.txt").exit_code == 0


def test_the_commands_of_question_answering_run_in_their_order(memlm: Callable[..., Result], real_data: Path):
    Path("story.txt").write_text("Mary went to the kitchen.\nJohn moved to the garden.\n")
    lines = commands(section("Question answering"))
    assert [line.split()[1] for line in lines] == ["data", "train", "eval", "ask"]
    added = {"data": ["--from", str(real_data / "babi")], "train": options(QUICK_QA, *QUICK_QA)}
    assert "prediction" in run_all(memlm, lines, lambda words: added.get(words[0], []))


def test_the_targets_of_make_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_it_names_is_there(memlm: Callable[..., Result]):
    recipes = memlm("recipes").output
    for name in re.findall(r"--recipe ([\w-]+)", README):
        assert name in recipes
    verbs = (("train",), ("eval",), ("ask",), ("attend",), ("score",), ("reproduce", "table1"))
    known = "".join(memlm(*verb, "--help").output for verb in verbs)
    for option in re.findall(r"`(--[a-z-]+)", README):
        assert option in known, option
    tree = README.split("## What is where")[1].split("A run folder")[0]
    packages = {path.name for path in (REPOSITORY / "memlm").iterdir() if (path / "__init__.py").exists()}
    assert set(re.findall(r"memlm/(\w+)/", tree)) == packages


def test_its_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for name in pictures:
        assert 0 < (REPOSITORY / name).stat().st_size < 60_000, name


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`memlm.train` with small settings; those that a call gives hold, but for the units and the memory."""

    def small(config: AnyConfig, dataset: str | None, settings: Mapping[str, Any]) -> AnyConfig:
        kind = config.model.name
        quick = QUICK_QA if kind == "memn2n-qa" else {} if kind == "kneser-ney" else QUICK
        known = {name for part in config.parts.values() for name in part.names()}
        sizes = {name: value for name, value in QUICK.items() if name != "epochs" and name in settings}
        return changed(
            config, dataset, {name: quick[name] for name in quick if name in known} | dict(settings) | sizes
        )

    monkeypatch.setattr("memlm.experiments.run.changed", small)
    with restored_registries():
        yield


@pytest.mark.usefixtures("small_models")
def test_the_lines_of_python_run(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    corpus.rename("ptb")
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    Path("my.txt").write_text("a0 b0 c0 d\n" * 200)
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == README.count("```") // 2
    scope: dict[str, Any] = {"__name__": "readme"}
    for block in blocks:
        exec(block, scope)
    assert isinstance(scope["after"], package.NextWord)
    assert isinstance(scope["answer"], package.Answer)
    assert repr(package.load("runs/gru")).startswith("<memlm model gru")
    run = package.load("runs/fine-tuned").run
    assert run.environment()["init_from"]["run"] == str(Path("runs/mine").resolve())
