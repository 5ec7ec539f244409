"""The pytest plug-in: fixtures that run scenarios and assert what their pattern promises.

    def test_my_broker_keeps_its_promises(run_fleet):
        run_fleet("load-balancing", broker=my_broker, clients=5, workers=3)

    def test_my_broker_whatever_happens(search_fleet):
        search_fleet("load-balancing", broker=my_broker, scenarios=1000)

This module imports nothing of weight: what is needed is loaded when a fixture is
used, so a test session that does not use them does not pay for it.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .faults import Fault
    from .pattern import Pattern
    from .run import Report
    from .scenario import Scenario
    from .search.result import Searched
    from .search.shards import Shard
    from .search.space import Limits

FAILURES = "reqrep-failures"
"""Where counterexamples are kept, below the root of the tests."""

_SHARD = re.compile(r"shard \d+ of \d+")
"""What tells the shards of one test apart, in its id."""

_OPTIONS = (
    ("world", "simulated", "the world that `run_fleet` runs in: simulated, threads or processes"),
    ("transport", "", "inproc, ipc or tcp; none takes the one of the world"),
    ("seed", "0", "the seed of `run_fleet` where a test names none"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("reqrep", "ZeroMQ request-reply fleets")
    for name, default, text in _OPTIONS:
        group.addoption(
            f"--reqrep-{name}", dest=f"reqrep_{name}", help=f"{text} (default: {default or 'none'})"
        )
        parser.addini(f"reqrep_{name}", text, default=default)


def _option(config: pytest.Config, name: str) -> str:
    """The command line over the ini file over the default."""
    given = config.getoption(f"reqrep_{name}")
    return str(given if given is not None else config.getini(f"reqrep_{name}"))


class FleetRunner:
    """What the fixture `run_fleet` gives: call it to run a scenario and assert its promises.

    Args:
        config: The configuration of the test session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.report: Report | None = None

    def __call__(
        self,
        scenario: Scenario | Pattern | str,
        *,
        clients: int | None = None,
        workers: int | None = None,
        requests: int | None = None,
        seed: int | None = None,
        world: str | None = None,
        transport: str | None = None,
        faults: Sequence[Fault] | None = None,
        check: bool = True,
        **programs: Callable[..., Any],
    ) -> Report:
        """Run a scenario and assert that every promised property holds.

        Args:
            scenario: A scenario, a pattern, or the name of one.
            clients, workers, requests, seed: What is to differ from it; None keeps it, and of what is
                no scenario the seed of the session.
            world, transport: Where; None takes the option of the session.
            faults: What goes wrong; None keeps it.
            check: Whether to assert; without it, look at the report yourself.
            programs: Programs of yours by role: `broker=my_broker`.

        Returns:
            The report: history, verdicts, statistics.

        Raises:
            PropertyBroken: A property is broken or unknown; the message has its witness.
            MisuseError: What was asked for cannot be run.
            NodeFailed: A node did not start.
        """
        from .run import run

        self.report = None
        planned = self._plan(scenario, clients, workers, requests, seed, programs)
        if faults is not None:
            planned = planned.replace(faults=faults)
        self.report = run(
            planned,
            world or _option(self._config, "world"),
            transport or _option(self._config, "transport") or None,
        )
        return self.report.check() if check else self.report

    def _plan(
        self,
        what: Scenario | Pattern | str,
        clients: int | None,
        workers: int | None,
        requests: int | None,
        seed: int | None,
        programs: dict[str, Callable[..., Any]],
    ) -> Scenario:
        from .catalogue import pattern
        from .errors import MisuseError
        from .scenario import Scenario

        if isinstance(what, str):
            what = pattern(what)
        if not isinstance(what, Scenario):
            text = _option(self._config, "seed")
            if not text.isdecimal():
                raise MisuseError(
                    f"the option reqrep_seed is {text!r}; it must be a whole number, 0 or more"
                )
            what = Scenario(what, seed=int(text))
        if programs:
            what = what.replace(pattern=what.pattern.with_roles(**programs))
        fleet = what.nodes
        if clients is not None or workers is not None:
            own = dataclasses.replace(what.pattern, fleet=fleet)
            fleet = own.fleet_of(clients, workers)
        return what.replace(
            fleet=fleet,
            workload=what.demand if requests is None else what.demand.replace(requests=requests),
            seed=what.seed if seed is None else seed,
        )


class FleetSearcher:
    """What the fixture `search_fleet` gives: call it to search, and assert that nothing breaks.

    Args:
        shard: Which share of the search this test is.
        out: Where counterexamples are kept.
    """

    def __init__(self, shard: Shard, out: Path) -> None:
        self._shard = shard
        self._out = out
        self._calls = 0
        self.result: Searched | None = None

    def __call__(
        self,
        pattern: Pattern | str,
        *,
        scenarios: int = 1000,
        properties: tuple[str, ...] = (),
        check: bool = True,
        limits: Limits | None = None,
        **programs: Callable[..., Any],
    ) -> Searched | None:
        """Try many scenarios in the simulated world and assert that no promise breaks in any.

        Args:
            pattern: A pattern, or its name.
            scenarios: How many, all workers of pytest-xdist together.
            properties: Names of what is judged; empty takes all that the pattern promises.
            check: Whether to assert; without it, look at the result yourself.
            limits: How far the scenarios go; None for the usual.
            programs: Programs of yours by role: `broker=my_broker`.

        Returns:
            The result; None in a shard that leaves the verdict to one that finishes later.

        Raises:
            PropertyBroken: A promise breaks, and the message is the story of the smallest way; or
                nobody can say whether one holds.
            MisuseError: What was asked for cannot be run.
        """
        from .catalogue import pattern as find
        from .errors import MisuseError
        from .search.hunt import Search
        from .search.result import result_of
        from .search.space import Limits as UsualLimits, Space

        self._calls += 1
        found = find(pattern) if isinstance(pattern, str) else pattern
        for name in programs:
            if name in ("clients", "workers", "requests", "seed", "faults", "transport"):
                raise MisuseError(
                    f"search_fleet draws {name}; say how far it may go by limits=reqrep.Limits(...)"
                )
        if programs:
            found = found.with_roles(**programs)
        share = self._shard.index, self._shard.count
        own = Search(
            Space(found, limits or UsualLimits()), properties, scenarios=scenarios, share=share
        ).run()
        whole = self._shard.whole(str(self._calls), own)
        if whole is None:
            return None
        self.result = result_of(whole, self._out)
        return self.result.check() if check else self.result


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that searches becomes one for each worker of pytest-xdist."""
    workers = getattr(metafunc.config, "workerinput", {}).get("workercount", 1)
    if "search_fleet" in metafunc.fixturenames and workers > 1:
        shards = [(index, workers) for index in range(workers)]
        ids = [f"shard {index + 1} of {count}" for index, count in shards]
        metafunc.parametrize("search_fleet", shards, ids=ids, indirect=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Share a search anew between those of its shards that are run, as after `--lf` or `-k`."""
    shards: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "search_fleet" in callspec.params:
            shards.setdefault(_SHARD.sub("", item.nodeid), []).append(item)
    for items in shards.values():
        for index, item in enumerate(items):
            # Whoever has parameters has a callspec, which the type `Item` does not say.
            item.callspec.params["search_fleet"] = index, len(items)  # type: ignore[attr-defined]


@pytest.fixture
def search_fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FleetSearcher:
    """Try many scenarios around a pattern, with programs of yours in it; see `FleetSearcher`.

    Under pytest-xdist all workers share the search, and one of them has the verdict.
    """
    from .search.shards import Shard

    index, count = getattr(request, "param", (0, 1))
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if count > 1 else base  # The workers' folders lie side by side.
    test = _SHARD.sub("", request.node.nodeid)
    folder = shared / f"reqrep-shards-{zlib.crc32(test.encode()):08x}"
    root = request.config.rootpath
    out = Path(FAILURES) if root == Path.cwd() else root / FAILURES  # As a person would type it.
    return FleetSearcher(Shard(folder, index, count), out)


@pytest.fixture(scope="session")
def run_fleet(pytestconfig: pytest.Config) -> FleetRunner:
    """Run a fleet around a pattern, with programs of yours in it, and assert its promises.

    Of session scope, so that it can be used under Hypothesis' `@given` as well.
    """
    return FleetRunner(pytestconfig)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the report of the fleet into a section of a failing test's own."""
    result = yield
    runner = getattr(item, "funcargs", {}).get("run_fleet")
    if call.when == "call" and isinstance(runner, FleetRunner):
        if result.failed and runner.report is not None:
            result.sections.append(("reqrep", str(runner.report)))
        runner.report = None
    return result
