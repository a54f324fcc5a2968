"""Runs and losses of earlier releases, which must stay as they are."""

from tests.helpers.repository import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden"
