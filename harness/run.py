"""The plan meets a world and becomes a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogue import claim
from .errors import HarnessBug, MisuseError, PropertyBroken
from .exercised import Strike, exercised, promised_under, strikes
from .history import History
from .pattern import Pattern, no_such
from .property import Verdict, judge
from .scenario import Scenario
from .statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from .conduct import Conductor
    from .history.journal import Journal
    from .history.recorder import Recorder

WORLDS = {
    "simulated": "all nodes in one thread under virtual time, deterministic, every decision ours",
    "threads": "each node a thread, on real libzmq sockets over inproc, ipc or tcp",
    "processes": "each node an operating-system process, on real libzmq sockets over ipc or tcp",
}
"""The worlds there are, with a line for each."""

DEFAULT_WORLD = "simulated"
"""Where a scenario runs when nobody says: where it is quick, and the same each time."""

TRANSPORT_OF = {"simulated": "tcp", "threads": "inproc", "processes": "ipc"}
"""What a world runs over when nobody says: in a simulation the transport with more to go wrong."""

EXIT_HOLDS, EXIT_BROKEN, EXIT_MISUSE, EXIT_UNKNOWN, EXIT_BUG = range(5)
"""What every command of reqrep exits with."""


@dataclass(frozen=True)
class Simulated:
    """What only a simulated run can tell.

    Args:
        virtual_seconds: How long the run took on its own clock.
        decisions: How many decisions the scheduler and the network took.
        deviations: Those that were not calm, by their number; they replay the run.
        digest: Of the whole history: the same scenario gives the same, everywhere.
    """

    virtual_seconds: float
    decisions: int
    deviations: dict[int, int]
    digest: str


@dataclass(frozen=True)
class Report:
    """What came out of a run.

    Args:
        scenario: What was run.
        world, transport: Where.
        history: What happened.
        verdicts: What each property says of it that is promised under the faults of the plan, and
            that can be judged in this world.
        simulated: What only a simulated run can tell; None for a real one.
        not_promised: The promises that do not cover these faults, in sentences.
    """

    scenario: Scenario
    world: str
    transport: str
    history: History
    verdicts: tuple[Verdict, ...]
    simulated: Simulated | None = None
    not_promised: tuple[str, ...] = ()

    @cached_property
    def strikes(self) -> tuple[Strike, ...]:
        """What became of each fault of the plan."""
        return strikes(self.scenario, self.history)

    @cached_property
    def statistics(self) -> Statistics:
        return statistics_of(self.history, self.scenario)

    @property
    def unit(self) -> str:
        """What its seconds are called: those of a simulation are none of ours."""
        return "s" if self.simulated is None else "virtual s"

    def of(self, *outcomes: str) -> tuple[Verdict, ...]:
        """The verdicts with some outcomes."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome in outcomes)

    @property
    def holds(self) -> bool:
        """Whether every promised property holds, and there was something to judge."""
        return bool(self.verdicts) and all(self.verdicts)

    @property
    def exit_status(self) -> int:
        """0 all hold, 1 one is broken, 3 one is unknown or none was judged, 4 a bug of ours."""
        if self.of("broken"):
            return EXIT_BROKEN
        if any(verdict.bug for verdict in self.verdicts):
            return EXIT_BUG
        return EXIT_HOLDS if self.holds else EXIT_UNKNOWN

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
    world: str = DEFAULT_WORLD,
    transport: str | None = None,
    *,
    progress: Callable[[list[Any]], None] | None = None,
    history: str | Path | None = None,
    asks_afresh: bool = False,
) -> Report:
    """Run a scenario in a world and judge its history by what its pattern promises.

        >>> report = run("req-rep")
        >>> report.holds
        True

    Args:
        scenario: A scenario; or a pattern, or its name, for the pattern's own fleet
            and workload.
        world: One of `WORLDS`.
        transport: `inproc`, `ipc` or `tcp`, in a simulation the one whose rules hold; None
            takes that of the world in `TRANSPORT_OF`.
        progress: Called now and then, while the load runs, with the drivers of the clients.
        history: Where to save the history; None keeps it in memory. It is saved, as far
            as it goes, when a node fails and after Ctrl-C too; on real sockets it is saved
            while the load runs, so that a part is there when reqrep itself is killed.
        asks_afresh: Whether clients ask on when all faults are healed though nothing that is judged
            needs it.

    Raises:
        MisuseError: Something that was asked for is not there or cannot be, as a fault that the
            world cannot do.
        NodeFailed: A node did not start, so that there is nothing to judge.
    """
    planned = _scenario_of(scenario)
    if world not in WORLDS:
        raise MisuseError(no_such("world", world, list(WORLDS)))
    transport = transport or TRANSPORT_OF[world]
    promises, not_promised = promised_under(planned)
    named = (claim(promise.property) for promise in promises)
    properties = [each for each in named if each.is_told(planned, world)]
    about = {
        "scenario": repr(planned),
        "world": world,
        "transport": transport,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    journal: Journal | None = None

    def look(drivers: list[Any]) -> None:
        if journal is not None:
            journal.look()
        if progress is not None:
            progress(drivers)

    is_kept = history is not None and world != "simulated"
    begun, told = _BEGIN[world](planned, transport, look if is_kept else progress)
    begun.asks_afresh = asks_afresh or any(each.asks_afresh for each in properties)
    recorder, go = begun.recorder, begun.run
    journal = _journal(history, about, recorder)
    try:
        go()
    finally:
        written = recorder.history(about)
        if journal is not None:
            journal.finish(written)
    verdicts = exercised(judge(properties, planned, written), planned, written)
    return Report(planned, world, transport, written, verdicts, told(written), tuple(not_promised))


def able(world: str, transport: str) -> frozenset[str]:
    """The kinds of faults that a world can do over a transport."""
    if world == "simulated":
        from .simulated_reach import able as of_simulated

        return of_simulated(transport)
    if world == "processes":
        from .real.signals import able as of_processes

        return of_processes(transport)
    from .real.reach import able as of_threads

    return of_threads(transport)


def first_difference(scenario: Scenario | Pattern | str, transport: str = "tcp") -> str | None:
    """Run a scenario twice in the simulated world and compare.

    Returns:
        None if both histories are the same, event for event, as they must be; otherwise
        the first event of either that differs, as text.

    Raises:
        MisuseError, NodeFailed: As `run`.
    """
    one, other = (run(scenario, "simulated", transport).history for _ in range(2))
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return f"event {number} differs:\n  {left}\n  {right}"
    if len(one) != len(other):
        longer = max(one, other, key=len)
        return f"one history goes on:\n  {longer.events[min(len(one), len(other))]}"
    return None


Begun = tuple["Conductor", Callable[[History], Simulated | None]]
"""What runs, and what else it tells in the end."""


def _in_threads(scenario: Scenario, transport: str, progress: Any) -> Begun:
    from .history.recorder import Recorder
    from .real.threads import ThreadsWorld

    return ThreadsWorld(scenario, transport, Recorder(), progress), lambda history: None


def _in_processes(scenario: Scenario, transport: str, progress: Any) -> Begun:
    from .history.recorder import Recorder
    from .real.processes import ProcessesWorld

    return ProcessesWorld(scenario, transport, Recorder(), progress), lambda history: None


def _simulated(scenario: Scenario, transport: str, progress: Any) -> Begun:
    from .simulated import SimulatedWorld

    world = SimulatedWorld(scenario, transport, progress=progress)

    def told(history: History) -> Simulated:
        return Simulated(
            world.simulation.scheduler.now_ns / 1e9,
            world.choices.count,
            dict(world.choices.taken),
            history.digest,
        )

    return world, told


_BEGIN = {"simulated": _simulated, "threads": _in_threads, "processes": _in_processes}


def _scenario_of(what: Scenario | Pattern | str) -> Scenario:
    if isinstance(what, str):
        from .catalogue import pattern

        what = pattern(what)
    return Scenario(what) if isinstance(what, Pattern) else what


def _journal(path: str | Path | None, about: dict[str, Any], recorder: Recorder) -> Journal | None:
    """Opened before the run begins: a file that cannot be written costs no run."""
    if path is None:
        return None
    from .history.journal import Journal
    from .history.store import Writer

    return Journal(Writer(path, about), recorder)
