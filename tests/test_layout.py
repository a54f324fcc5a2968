"""The house: which packages there are, which way their imports point, and what an import costs."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from memlm.cli import main
from memlm.config.recipes import recipe
from tests.helpers.imports import FILES, PACKAGE, floors, graph, imports, room, upwards
from tests.helpers.trained_tasks import ended

# Each floor may import those above it in this list; the rooms of a floor do not know each other.
FLOORS = [
    ["errors", "format"],
    ["files", "jsontext", "config", "kernels"],
    ["data", "models"],
    ["runs"],
    ["evaluation"],
    ["training", "inference"],
    ["experiments", "diagnostics"],
    ["cli"],
]
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def test_these_are_the_rooms():
    assert graph().keys() == FLOOR.keys()
    assert sum((PACKAGE / name).is_dir() for name in FLOOR) <= 12
    assert len(list(PACKAGE.glob("*.py"))) <= 6  # with __init__ and __main__


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room(path) not in ("__init__", "__main__")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_point_one_way(path):
    own = room(path)
    for name in imports(path):
        other = name.split(".")[1]
        assert other == own or FLOOR[other] < FLOOR[own], f"{path} imports {name}"


def test_the_house_is_low():
    assert max(floors(graph()).values()) <= 9
    assert upwards(graph()) == 0


TESTS = sorted(PACKAGE.parent.glob("tests/**/test_*.py"))
MIRRORS = [path for path in TESTS if path.parent.name not in ("tests", "whole", "oracles", "helpers")]


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent / "tests"))


@pytest.mark.parametrize("path", TESTS, ids=named)
def test_no_test_module_imports_another(path: Path):
    """What two of them need is in tests/helpers, or a fixture of a conftest."""
    assert not [name for name in imports(path, "tests") if ".test_" in name]


@pytest.mark.parametrize("path", MIRRORS, ids=named)
def test_the_name_of_a_test_is_that_of_a_module(path: Path):
    """`test_<module>.py` or `test_<module>_<aspect>.py`, in the folder of the module's package."""
    package = PACKAGE / path.parent.relative_to(PACKAGE.parent / "tests")
    modules = {package.name, *(child.stem for child in package.iterdir())}
    name = path.stem.removeprefix("test_")
    assert any(name == module or name.startswith(f"{module}_") for module in modules)


# Modules without logic of their own: pins, and what is only listed.
WITHOUT_TESTS = {"data/catalog/task_hashes", "data/catalog/wikitext"}
# The verbs are tested as commands are run: tests/whole/test_command_line*.py.
BROADER = ("cli", "cli/show")
MODULES = [
    path.relative_to(PACKAGE).with_suffix("")
    for path in FILES
    if path.stem not in ("__init__", "__main__") and path.parent.relative_to(PACKAGE).as_posix() not in BROADER
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_test_of_its_name(module: Path):
    folder = PACKAGE.parent / "tests" / module.parent
    found = any(path.stem == f"test_{module.name}" or path.match(f"test_{module.name}_*") for path in folder.iterdir())
    assert found != (module.as_posix() in WITHOUT_TESTS)


def heavy_after(code: str, modules: str) -> set[str]:
    """Which of these modules, and what is in them, are loaded after some code has run in a process of its own."""
    found = f"[m for m in sys.modules for n in {modules.split()} if m == n or m.startswith(n + '.')]"
    code = f"import sys\n{code}\nprint(*{found})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


HEAVY = "torch numpy rich requests tensorboard matplotlib"


def test_help_costs_no_torch():
    code = (
        "import memlm, memlm.cli\n"
        "from click.testing import CliRunner\n"
        "for verb in ([], *([verb] for verb in memlm.cli.COMMANDS)):\n"
        "    result = CliRunner().invoke(memlm.cli.main, [*verb, '--help'])\n"
        "    assert result.exit_code == 0, result.output\n"
    )
    assert not heavy_after(code, HEAVY)


def test_settings_cost_no_torch():
    code = "".join(f"import memlm.config.{path.stem}\n" for path in (PACKAGE / "config").glob("*.py"))
    assert not heavy_after(code, HEAVY)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose tokens are words."""
    folder = tmp_path_factory.mktemp("layout")
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("a b c\n" * 40)
    words = ["train", "--dataset", folder, "--model", "kneser-ney", "--order", 2, "--run-dir", folder / "run"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder / "run"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of question answering."""
    return ended(tmp_path_factory.mktemp("layout") / "run", recipe("pe-ls-rn"), [1, 2])


NOT_OF_LOADING = "memlm.training memlm.data.fetch memlm.experiments requests sentencepiece matplotlib rich tensorboard"


def test_loading_and_using_a_model_imports_neither_trainer_nor_downloader(language_model: Path, tasks: Path):
    code = f"import memlm\nmodel = memlm.load({str(language_model)!r})\n"
    code += "model.perplexity('a b'), model.next_word('a'), list(model.generate('a', seed=1))\n"
    assert not heavy_after(code, NOT_OF_LOADING)
    code = f"import memlm\nmemlm.load({str(tasks)!r}).ask(['mary went to the hall'], 'where is mary', task=1)\n"
    assert not heavy_after(code, NOT_OF_LOADING)


def test_public_names_resolve():
    import memlm

    assert dir(memlm) == sorted([*memlm.__all__, "__version__"])
    assert set(memlm._HOME) == set(memlm.__all__)
    for name in memlm.__all__:
        assert getattr(memlm, name) is not None
    assert memlm.__version__ == version("memlm")
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        memlm.lode  # noqa: B018


def test_importing_memlm_and_looking_around_costs_nothing():
    code = "import memlm, rlcompleter\nfound = [rlcompleter.Completer({'memlm': memlm}).complete('memlm.l', 0)]\n"
    assert not heavy_after("import memlm\ndir(memlm), memlm.__version__, repr(memlm.Config)", HEAVY)
    result = subprocess.run([sys.executable, "-c", code + "print(found)"], capture_output=True, text=True, check=True)
    assert result.stdout == "['memlm.load(']\n"
