"""The examples in the docstrings of public names run, and what they show is true."""

import doctest
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import memlm as package
from memlm.config import recipes, registry
from memlm.config.run import RunConfig
from memlm.config.settings import Settings
from memlm.models import build

PUBLIC = {name: getattr(package, name) for name in dir(package) if inspect.isroutine(getattr(package, name))}
CLASSES = {name: getattr(package, name) for name in dir(package) if inspect.isclass(getattr(package, name))}
# A table of settings needs no example: `memlm train --help` tells each of them.
SHOWN = PUBLIC | {
    name: kind for name, kind in CLASSES.items() if not issubclass(kind, Settings | RunConfig | Exception)
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the examples have it: the text `corpus`, and a run of a language model and one of questions."""
    folder = tmp_path_factory.mktemp("docstrings")
    (folder / "corpus").mkdir()
    for split, lines in (("train", 120), ("valid", 20), ("test", 20)):
        text = "".join(f"a{i % 3} b{i % 5} c{i % 3} d\n" for i in range(lines))
        (folder / "corpus" / f"{split}.txt").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEMLM_DATA", str(folder / "data"))
        sizes: dict[str, Any] = {"hops": 2, "memory_size": 8, "units": 6}
        package.train(
            "memn2n", dataset="corpus", run_dir="runs/mine", epochs=1, lr=0.05, device="cpu", quiet=True, **sizes
        )
        package.train(
            *("pe-ls-rn",),
            dataset="stories-qa",
            task=1,
            run_dir="runs/questions",
            restarts=2,
            epochs=15,
            linear_epochs=2,
            device="cpu",
            quiet=True,
        )
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, to be in. What an example registers is forgotten after it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    tables: list[dict[Any, Any]] = [registry.MODELS, registry._TRAINING, recipes.RECIPES, recipes.DEFAULT_RECIPE]
    tables.append(build._MAKERS)
    before = [dict(table) for table in tables]
    yield tmp_path
    for table, earlier in zip(tables, before, strict=True):
        table.clear()
        table.update(earlier)


@pytest.mark.parametrize("name", PUBLIC | CLASSES)
def test_every_public_name_says_what_it_is(name: str):
    said = inspect.getdoc((PUBLIC | CLASSES)[name]) or ""
    assert said.splitlines()[0].endswith((".", ":", ";", ","))
    if name in SHOWN:
        assert ">>> " in said, f"{name} has no example"


def test_all_public_names_are_looked_at():
    others = set(dir(package)) - set(PUBLIC) - set(CLASSES)
    assert others == {"STOP", "__version__"}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", SHOWN)
def test_the_examples_are_true(name: str):
    found = doctest.DocTestFinder(recurse=False).find(SHOWN[name], name, globs={"memlm": package})
    (example,) = [each for each in found if each.examples]
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=failures.append)
    assert not failures, "".join(failures)


@pytest.mark.usefixtures("place")
def test_every_public_class_shows_itself_in_a_line():
    model, tasks = package.load("runs/mine"), package.load("runs/questions")
    instances: list[Any] = [model, tasks, model.model, tasks.ask("Hugo went to the garden.", "Where is Hugo?")]
    instances += [model.attend("a0 b0 c0"), model.average_attention(), model.next_word("a0"), model.evaluate()]
    instances += [tasks.evaluate(), package.Observer(), package.MemlmError("wrong\nin two lines")]
    settings: list[Any] = [kind for kind in CLASSES.values() if issubclass(kind, Settings | RunConfig)]
    instances += [kind() for kind in settings if kind is not package.NeuralSettings]  # the base of some of them
    for name, kind in CLASSES.items():
        own = [repr(instance) for instance in instances if isinstance(instance, kind)]
        assert own, f"none of {name}"
        assert all(len(shown.splitlines()) == 1 for shown in own), own
