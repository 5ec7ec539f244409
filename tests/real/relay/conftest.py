"""What all tests of the relay stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reqrep.harness.endpoints import private_folder

from .stage import Stage


@pytest.fixture
def folder() -> Iterator[Path]:
    made = private_folder()
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir() if path.name.startswith("relay")] == []
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


@pytest.fixture(params=["tcp", "ipc"])
def stage(request: pytest.FixtureRequest, folder: Path) -> Iterator[Stage]:
    made = Stage(request.param, folder)
    yield made
    made.close()
    assert made.failures == []


@pytest.fixture
def tcp(folder: Path) -> Iterator[Stage]:
    made = Stage("tcp", folder)
    yield made
    made.close()
