"""Imports point one way, and importing memlm is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "memlm"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each layer may import itself and those above it in this list.
LAYERS = [
    ["errors", "native"],
    [
        "settings",
        "jsontext",
        "digits",
        "config_data",
        "config_run",
        "config",
        "config_qa",
        "environment",
        "files",
        "locks",
        "sampling",
    ],
    ["pictures", "learning_curves", "table1"],
    ["data", "models"],
    ["optim", "captured", "checkpoint", "runlog", "curves"],
    [
        *("recipes", "recipes_qa", "evaluate", "passport", "evaluations", "bootstrap", "report"),
        *("arpa", "attention", "figures", "progress", "roles", "standings"),
    ],
    ["streams"],
    ["scoring", "generate"],
    ["training", "cutoffs"],
    ["restarts"],
    ["train", "qa"],
    ["trained"],
    ["wearing"],
    ["doctor", "doctor_runs"],
    ["bench"],
    ["cli", "__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SEPARATE = {("data", "models"), ("models", "data")}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "memlm":
            parts = node.module.split(".")[1:]
            rooms |= {parts[0]} if parts else {alias.name for alias in node.names}
    return rooms


@pytest.mark.parametrize("path", [f for f in FILES if f != PACKAGE / "__init__.py"], ids=lambda p: p.name)
def test_imports_point_one_way(path: Path):
    own = room(path)
    for other in imported_rooms(path):
        assert LEVEL[other] <= LEVEL[own], f"{path} imports memlm.{other}"
        assert (own, other) not in SEPARATE, f"{path} imports memlm.{other}"


def test_help_costs_no_torch():
    code = (
        "import sys, memlm, memlm.cli\n"
        "from click.testing import CliRunner\n"
        "for verb in ([], *([verb] for verb in memlm.cli.COMMANDS)):\n"
        "    result = CliRunner().invoke(memlm.cli.main, [*verb, '--help'])\n"
        "    assert result.exit_code == 0, result.output\n"
        "heavy = {'torch', 'numpy', 'rich', 'requests', 'tensorboard', 'matplotlib'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_public_names_resolve():
    import memlm

    for name in memlm.__all__:
        assert getattr(memlm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        memlm.lode  # noqa: B018
