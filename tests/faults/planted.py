"""For each kind of fault a defect that does not show without it, and the same program done right."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import reqrep
from reqrep import (
    Blank,
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Delay,
    Fault,
    Fleet,
    Hold,
    Late,
    Leave,
    Partition,
    Pattern,
    Pressure,
    Promise,
    Raises,
    Report,
    Reset,
    Restart,
    Scenario,
    Sized,
    Skew,
    Stall,
    Stranger,
    Throttle,
    Upon,
    Workload,
)
from reqrep.harness.faults import KINDS
from tests.planted.programs import (
    M04ClientThatRetriesOnTheSameReq,
    m26_broker_that_unpacks_three_frames,
)

from . import programs

UNHURRIED = Workload(requests=12, arrival=ClosedLoop(think_time_s=0.01))


@dataclass(frozen=True)
class Planted:
    """A defect, the fault that brings it out, the property that says so, and the correct program."""

    fault: Fault
    pattern: str
    wrong: dict[str, Any]
    correct: dict[str, Any]
    broken: str
    says: str
    fleet: Fleet = Fleet(clients=1, workers=1)
    workload: Workload = field(default_factory=lambda: UNHURRIED)

    @property
    def kind(self) -> str:
        return self.fault.kind

    @property
    def subject(self) -> Pattern:
        """The pattern with the defect; `tests.faults.planted:CUT.subject` finds it."""
        return self.of(self.wrong)

    @property
    def mended(self) -> Pattern:
        """The same with the correct programs."""
        return self.of(self.correct)

    def of(self, programs: dict[str, Any]) -> Pattern:
        """The pattern with some programs, which promises what the defect breaks."""
        return dataclasses.replace(
            reqrep.pattern(self.pattern).with_roles(**programs),
            name=f"{self.kind}-subject",
            promises=(Promise(self.broken, frozenset(KINDS)),),
            changed={},
            reference="",
        )

    def scenario(
        self, programs: dict[str, Any], *faults: Fault, seed: int = 0, **demand: Any
    ) -> Scenario:
        workload = self.workload.replace(**demand)
        return Scenario(self.of(programs), self.fleet, workload, seed, faults)

    def run(
        self, programs: dict[str, Any], *faults: Fault, seed: int = 0, world: str = "simulated"
    ) -> Report:
        return reqrep.run(self.scenario(programs, *faults, seed=seed), world)


DELAY = Planted(
    Delay(65, 75),
    "req-rep",
    {"client": programs.RelaxedWithoutCorrelate},
    {"client": programs.ReopeningOnce},
    "correlation",
    "took the reply to c0.0 for the reply to",
)

HOLD = Planted(
    Hold("service", at=0.005, lasts=0.3),
    "dealer-router",
    {"client": programs.ReadsAwayOneStaleReply},
    {"client": programs.ReadsAwayAllStaleReplies},
    "correlation",
    "took the reply to c0.0 for the reply to c0.1",
)

CUT = Planted(
    Cut("service", at=0.05, lasts=0.2),
    "req-rep",
    {"client": M04ClientThatRetriesOnTheSameReq},
    {"client": programs.Reopening},
    "state-machine",
    "still waits for the reply",
)

RESET = Planted(
    Reset(at=Upon("worked", count=2)),
    "req-rep",
    {},
    {"client": programs.Reopening},
    "progress",
    "c0.1 was not answered",
)

HALF_OPEN_AT_THE_BINDER = Planted(
    Reset(at=Upon("worked", count=2), seen_by="connector"),
    "req-rep",
    {"client": programs.Insists, "server": programs.server_of_the_first_of_a_name},
    {"client": programs.Insists, "server": programs.server_of_the_last_of_a_name},
    "progress",
    "c0.1 was not answered",
)

HALF_OPEN_AT_THE_CONNECTOR = Planted(
    Reset(at=Upon("worked", count=2), seen_by="binder"),
    "req-rep",
    {"client": programs.Insists},
    {"client": programs.InsistsAndListens},
    "progress",
    "c0.1 was not answered",
)

PASSING = Planted(
    Reset(at=Upon("passing", target="client-0", count=2)),
    "req-rep",
    {"client": programs.Reopening},
    {"client": programs.Reopening, "server": programs.server_that_remembers_its_answer},
    "at-most-once",
    "c0.1 was executed 2 times",
)

PASSED = Planted(
    Reset(node="worker-0", at=Upon("passed", source="worker-0", count=2)),
    "load-balancing-dealer",
    {
        "client": programs.ReopeningForHalfASecond,
        "worker": programs.worker_that_asks_until_it_has_work,
    },
    {"client": programs.ReopeningForHalfASecond, "worker": programs.worker_that_says_ready_again},
    "progress",
    "c0.2 was not answered",
)

CRASH = Planted(
    Crash("worker-0"),
    "load-balancing-dealer",
    {},
    {"broker": programs.broker_that_takes_leave_of_the_dead},
    "progress",
    "was not answered",
    fleet=Fleet(clients=1, workers=2),
)

CRASH_OF_A_CLIENT = Planted(
    Crash("client-0", at=Upon("taken")),
    "req-rep",
    {"server": programs.server_that_insists},
    {"server": programs.server_that_lets_go},
    "robustness",
    "server-0 raised zmq.error.ZMQError: Host unreachable",
    # Long enough for a real server to hear of the end before it answers.
    workload=Workload(3, service=(Constant(0.1),)),
)

RESTART = Planted(
    Restart("broker-0", after_s=0.05, at=0.05),
    "load-balancing-dealer",
    {"client": programs.Reopening},
    {"client": programs.Reopening, "worker": programs.worker_that_says_ready_again},
    "progress",
    "was not answered",
)

RENAMED = Planted(
    Restart("worker-0", after_s=0.001, renamed=True, at=0.025),
    "load-balancing-dealer",
    {"worker": programs.worker_that_has_a_name},
    {
        "worker": programs.worker_that_has_a_name,
        "broker": programs.broker_that_takes_leave_of_the_dead,
    },
    "progress",
    "was not answered",
    workload=Workload(6, ClosedLoop(think_time_s=0.05)),
)

STALL = Planted(
    Stall("server-0", at=Upon("taken", "server-0"), lasts=0.2),
    "req-rep",
    {"client": programs.AsksElsewhere},
    {},
    "at-most-once",
    "was executed 2 times",
    fleet=Fleet(clients=1, workers=2),
)

LATE = Planted(
    Late(0.08, nth=3),
    "req-rep",
    {"client": programs.RelaxedWithoutCorrelate},
    {"client": programs.ReopeningOnce},
    "correlation",
    "took the reply to c0.2 for the reply to c0.3",
)

RAISES = Planted(
    Raises(nth=2),
    "req-rep",
    {"server": programs.server_that_logs_and_goes_on},
    {"server": programs.server_that_answers_for_its_service},
    "state-machine",
    "owes a reply",
)

BLANK = Planted(
    Blank(nth=2),
    "req-rep",
    {},
    {"server": programs.server_that_answers_for_its_service},
    "robustness",
    "server-0 raised",
)

STRANGER = Planted(
    Stranger("frontend", at=0.01),
    "load-balancing",
    {"broker": m26_broker_that_unpacks_three_frames},
    {},
    "robustness",
    "broker-0 raised ValueError: not enough values to unpack",
)

SKEW = Planted(
    Skew("client-0", 3600, at=Upon("taken", count=3)),
    "req-rep",
    {"client": programs.ImpatientByTheWallClock},
    {"client": programs.Impatient},
    "progress",
    "c0.2 was not answered: the client gave up",
    workload=Workload(3, service=(Constant(0.03),)),
)

THROTTLE = Planted(
    Throttle(20_000),
    "req-rep",
    {"client": programs.PingsBehindItsRequest, "server": programs.server_that_answers_pings},
    {"client": programs.PingsBesideItsRequest, "server": programs.server_that_answers_pings},
    "progress",
    "c0.0 was not answered: the client gave up",
    workload=Workload(3, bodies=Sized(4000), timeout_s=1.0),
)

PARTITION = Planted(
    Partition(("client-0", "server-0"), at=Upon("taken", "server-1"), lasts=0.3),
    "req-rep",
    {"client": programs.AsksElsewhere},
    {},
    "at-most-once",
    "was executed 2 times",
    fleet=Fleet(clients=1, workers=2),
)

LEAVE = Planted(
    Leave("worker-0"),
    "load-balancing-dealer",
    {},
    {"broker": programs.broker_that_takes_leave_of_the_dead},
    "progress",
    "was not answered",
    fleet=Fleet(clients=1, workers=2),
)

PRESSURE = Planted(
    Pressure(1),
    "dealer-router",
    {"server": programs.server_that_drops_what_has_no_room},
    {"server": programs.server_that_waits_for_room},
    "progress",
    "was not answered",
    workload=Workload(12, ClosedLoop(window=4), Sized(120_000)),
)

PLANTED = (
    DELAY, HOLD, CUT, RESET, CRASH, CRASH_OF_A_CLIENT, RESTART, STALL, LATE, RAISES, STRANGER, SKEW,
    THROTTLE, PARTITION, HALF_OPEN_AT_THE_BINDER, HALF_OPEN_AT_THE_CONNECTOR, PASSING, PASSED,
    PRESSURE, LEAVE, RENAMED, BLANK,
)  # fmt: skip
