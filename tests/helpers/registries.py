"""The registries of models and recipes, put back as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from memlm.config import recipes, registry
from memlm.models import build


@contextmanager
def restored_registries() -> Iterator[None]:
    """What is registered in the `with` block is forgotten after it."""
    tables: list[dict[Any, Any]] = [registry.MODELS, registry.ANSWERERS, registry._TRAINING]
    tables += [recipes.RECIPES, recipes.DEFAULT_RECIPE, build._MAKERS]
    copies = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, copy in zip(tables, copies, strict=True):
            table.clear()
            table.update(copy)
