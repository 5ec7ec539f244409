"""The plan meets a world and becomes a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .catalogue import claim
from .errors import HarnessBug, MisuseError, PropertyBroken
from .history import History
from .pattern import Pattern, no_such
from .property import Verdict, judge
from .scenario import Scenario
from .statistics import Statistics, statistics_of

WORLDS = {
    "threads": "each node a thread, on real libzmq sockets over inproc, ipc or tcp",
}
"""The worlds there are, with a line for each."""

EXIT_HOLDS, EXIT_BROKEN, EXIT_MISUSE, EXIT_UNKNOWN, EXIT_BUG = range(5)
"""What every command of reqrep exits with."""


@dataclass(frozen=True)
class Report:
    """What came out of a run.

    Args:
        scenario: What was run.
        world, transport: Where.
        history: What happened.
        verdicts: What each promised property says of it.
    """

    scenario: Scenario
    world: str
    transport: str
    history: History
    verdicts: tuple[Verdict, ...]

    @cached_property
    def statistics(self) -> Statistics:
        return statistics_of(self.history, self.scenario.pattern)

    def of(self, *outcomes: str) -> tuple[Verdict, ...]:
        """The verdicts with some outcomes."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome in outcomes)

    @property
    def holds(self) -> bool:
        """Whether every promised property holds."""
        return all(self.verdicts)

    @property
    def exit_status(self) -> int:
        """0 all hold, 1 one is broken, 3 one is unknown, 4 a bug of ours."""
        if self.of("broken"):
            return EXIT_BROKEN
        if any(verdict.bug for verdict in self.verdicts):
            return EXIT_BUG
        return EXIT_UNKNOWN if self.of("unknown") else EXIT_HOLDS

    def check(self) -> Report:
        """The report itself, if every promised property holds.

        Raises:
            PropertyBroken: One is broken or unknown; the message has its witness.
            HarnessBug: A checker raised.
        """
        if self.exit_status == EXIT_BUG:
            bugs = [verdict.bug for verdict in self.verdicts if verdict.bug]
            raise HarnessBug("a checker of reqrep raised; please report this:\n" + bugs[0])
        if not self.holds:
            raise PropertyBroken(str(self))
        return self

    def __str__(self) -> str:
        from .report.text import report_text

        return report_text(self)

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{verdict.property} {verdict.outcome}" for verdict in self.verdicts)
        return f"<Report of {self.scenario.pattern.name} in {self.world}: {verdicts}>"


def run(
    scenario: Scenario | Pattern | str,
    world: str = "threads",
    transport: str = "inproc",
    *,
    progress: Callable[[list[Any]], None] | None = None,
    history: str | Path | None = None,
) -> Report:
    """Run a scenario in a world and judge its history by what its pattern promises.

        >>> report = run("req-rep")
        >>> report.holds
        True

    Args:
        scenario: A scenario; or a pattern, or its name, for the pattern's own fleet
            and workload.
        world: One of `WORLDS`.
        transport: `inproc`, `ipc` or `tcp`.
        progress: Called now and then, while the load runs, with the drivers of the clients.
        history: Where to save the history; None keeps it in memory. It is saved, as far
            as it goes, when a node fails and after Ctrl-C too.

    Raises:
        MisuseError: Something that was asked for is not there or cannot be.
        NodeFailed: A node did not start, so that there is nothing to judge.
    """
    if isinstance(scenario, str):
        from .catalogue import pattern

        scenario = pattern(scenario)
    if isinstance(scenario, Pattern):
        scenario = Scenario(scenario)
    if world not in WORLDS:
        raise MisuseError(no_such("world", world, list(WORLDS)))
    properties = [claim(promise.property) for promise in scenario.pattern.promises]

    from .history.recorder import Recorder
    from .real.threads import ThreadsWorld

    about = {
        "scenario": repr(scenario),
        "world": world,
        "transport": transport,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    writer = _writer(history, about)
    recorder = Recorder()
    try:
        ThreadsWorld(scenario, transport, recorder, progress).run()
    finally:
        written = recorder.history(about)
        if writer is not None:
            with writer:
                writer.write(written)
    verdicts = judge(properties, scenario, written)
    return Report(scenario, world, transport, written, verdicts)


def _writer(path: str | Path | None, about: dict[str, Any]) -> Any:
    """Opened before the run begins: a file that cannot be written costs no run."""
    if path is None:
        return None
    from .history.store import Writer

    return Writer(path, about)
