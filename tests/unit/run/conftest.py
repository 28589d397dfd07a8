"""Simulated users for the tests of runs."""

from pathlib import Path

import pytest
from pack.tests.support.person import Person


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody at the Train node."""
    return Person(tmp_path / "loras")


@pytest.fixture
def alone(tmp_path: Path) -> Person:
    """Somebody else, whose runs nothing happens to."""
    return Person(tmp_path / "alone")
