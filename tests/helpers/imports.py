"""The import graph of a package: its rooms (modules and packages at the top), and the floors that they stand on.

    python -m tests.helpers.imports [FOLDER]

prints counts for a checkout of memlm: modules and packages at the top, arrows between them, floors, arrows upwards.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.repository import REPOSITORY

PACKAGE = REPOSITORY / "memlm"
FILES = sorted(PACKAGE.rglob("*.py"))
Graph = dict[str, set[str]]


def imports(path: Path, package: str = "memlm") -> Iterator[str]:
    """The modules of a package that a file imports, anywhere in it: `memlm.runs.checkpoint`, or a name in a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(f"{package}."))


def room(path: Path, package: Path = PACKAGE) -> str:
    """The room of a file."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def graph(package: Path = PACKAGE) -> Graph:
    """Which rooms each room imports; `__init__` and `__main__`, the doors of the house, are none."""
    files = [path for path in sorted(package.rglob("*.py")) if room(path, package) not in ("__init__", "__main__")]
    rooms: Graph = {room(path, package): set() for path in files}
    for path in files:
        own = room(path, package)
        rooms[own] |= {name.split(".")[1] for name in imports(path)} & rooms.keys() - {own}
    return rooms


def components(rooms: Graph) -> list[set[str]]:
    """Rooms that import each other, directly or not, together; a group comes after all that it imports."""
    reached = {name: _reached(rooms, name) for name in rooms}
    groups = {frozenset({name, *(other for other in reached[name] if name in reached[other])}) for name in rooms}
    return [set(group) for group in sorted(groups, key=lambda group: len(group.union(*(reached[r] for r in group))))]


def _reached(rooms: Graph, start: str) -> set[str]:
    found: set[str] = set()
    left = list(rooms[start])
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += rooms[name]
    return found


def floors(rooms: Graph) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports. Rooms in a circle share one."""
    found: dict[str, int] = {}
    for group in components(rooms):
        below = [found[other] for name in group for other in rooms[name] - group]
        found |= dict.fromkeys(group, 1 + max(below, default=0))
    return found


def upwards(rooms: Graph) -> int:
    """Arrows that must go, at least, before no room is in a circle: two rooms of a circle count one."""
    return sum(len(group) - 1 for group in components(rooms))


def main(package: Path) -> None:
    """Print the counts."""
    rooms, found = graph(package), floors(graph(package))
    modules = [name for name in rooms if (package / f"{name}.py").exists()]
    print(f"modules at the top: {len(modules)}; packages: {len(rooms) - len(modules)}")
    print(f"arrows: {sum(map(len, rooms.values()))}; floors: {max(found.values())}; upwards: {upwards(rooms)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "memlm" if len(sys.argv) > 1 else PACKAGE)
