"""The house: which packages there are, which way their imports point, and what an import costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.imports import FILES, PACKAGE, floors, graph, imports, room, upwards

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
    if "training" in path.parts:
        pytest.skip("to come, with the one training loop")
    assert not [name for name in imports(path, "tests") if ".test_" in name]


@pytest.mark.parametrize("path", MIRRORS, ids=named)
def test_the_name_of_a_test_is_that_of_a_module(path: Path):
    """`test_<module>.py` or `test_<module>_<aspect>.py`, in the folder of the module's package."""
    package = PACKAGE / path.parent.relative_to(PACKAGE.parent / "tests")
    modules = {package.name, *(child.stem for child in package.iterdir())}
    name = path.stem.removeprefix("test_")
    assert any(name == module or name.startswith(f"{module}_") for module in modules)


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


def test_public_names_resolve():
    import memlm

    for name in memlm.__all__:
        assert getattr(memlm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        memlm.lode  # noqa: B018
