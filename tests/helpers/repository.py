"""Where this checkout of memlm lies."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
