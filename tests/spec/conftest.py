"""Runs each spec test on each of its worlds, and counts what was proven.

In the simulation the body of a test is a task: `pytest_pyfunc_call` runs it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .clauses import CLAUSES, WORLDS
from .worlds import SimulatedWorld, World, make_world

_proven: dict[str, set[str]] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world" in metafunc.fixturenames:
        names = getattr(metafunc.function, "worlds", WORLDS)
        metafunc.parametrize("world", names, indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = make_world(request.param)
    yield made
    made.finish()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    world = pyfuncitem.funcargs.get("world")
    if not isinstance(world, SimulatedWorld):
        return None
    arguments: dict[str, Any] = {
        name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames
    }
    world.run(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    name = getattr(getattr(item, "obj", None), "clause", None)
    if report.when == "call" and report.passed and name:
        _proven.setdefault(name, set()).add(item.callspec.params["world"])  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _proven:
        counts = ", ".join(
            f"{name} {sum(name in worlds for worlds in _proven.values())}" for name in WORLDS
        )
        terminalreporter.write_line(f"clauses: {len(CLAUSES)} read; proven on {counts}")
