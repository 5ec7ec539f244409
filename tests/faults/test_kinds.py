"""Each kind of fault brings out a defect that does not show without it, and flags nothing correct."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

import reqrep
from reqrep import (
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Delay,
    Fault,
    Fleet,
    Hold,
    Late,
    Noop,
    Promise,
    Raises,
    Report,
    Reset,
    Restart,
    Scenario,
    Skew,
    Stall,
    Stranger,
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

    def run(
        self, programs: dict[str, Any], *faults: Fault, seed: int = 0, world: str = "simulated"
    ) -> Report:
        pattern = reqrep.pattern(self.pattern).with_roles(**programs)
        promises = (Promise(self.broken, frozenset(KINDS)),)
        pattern = dataclasses.replace(pattern, promises=promises)
        scenario = Scenario(pattern, self.fleet, self.workload, seed, faults)
        return reqrep.run(scenario, world)


PLANTED = (
    Planted(
        Delay(65, 75),
        "req-rep",
        {"client": programs.RelaxedWithoutCorrelate},
        {"client": programs.ReopeningOnce},
        "correlation",
        "took the reply to c0.0 for the reply to",
    ),
    Planted(
        Hold("service", at=0.005, lasts=0.3),
        "dealer-router",
        {"client": programs.ReadsAwayOneStaleReply},
        {"client": programs.ReadsAwayAllStaleReplies},
        "correlation",
        "took the reply to c0.0 for the reply to c0.1",
    ),
    Planted(
        Cut("service", at=0.05, lasts=0.2),
        "req-rep",
        {"client": M04ClientThatRetriesOnTheSameReq},
        {"client": programs.Reopening},
        "state-machine",
        "still waits for the reply",
    ),
    Planted(
        Reset(at=Upon("worked", count=2)),
        "req-rep",
        {},
        {"client": programs.Reopening},
        "progress",
        "c0.1 was not answered",
    ),
    Planted(
        Crash("worker-0"),
        "load-balancing-dealer",
        {},
        {"broker": programs.broker_that_takes_leave_of_the_dead},
        "progress",
        "was not answered",
        fleet=Fleet(clients=1, workers=2),
    ),
    Planted(
        Restart("broker-0", after_s=0.05, at=0.05),
        "load-balancing-dealer",
        {"client": programs.Reopening},
        {"client": programs.Reopening, "worker": programs.worker_that_says_ready_again},
        "progress",
        "was not answered",
    ),
    Planted(
        Stall("server-0", at=Upon("taken", "server-0"), lasts=0.2),
        "req-rep",
        {"client": programs.AsksElsewhere},
        {},
        "at-most-once",
        "was executed 2 times",
        fleet=Fleet(clients=1, workers=2),
    ),
    Planted(
        Late(0.08, nth=3),
        "req-rep",
        {"client": programs.RelaxedWithoutCorrelate},
        {"client": programs.ReopeningOnce},
        "correlation",
        "took the reply to c0.2 for the reply to c0.3",
    ),
    Planted(
        Raises(nth=2),
        "req-rep",
        {"server": programs.server_that_logs_and_goes_on},
        {"server": programs.server_that_answers_for_its_service},
        "state-machine",
        "owes a reply",
    ),
    Planted(
        Stranger("frontend", at=0.01),
        "load-balancing",
        {"broker": m26_broker_that_unpacks_three_frames},
        {},
        "robustness",
        "broker-0 raised ValueError: not enough values to unpack",
    ),
    Planted(
        Skew("client-0", 3600, at=Upon("taken", count=3)),
        "req-rep",
        {"client": programs.ImpatientByTheWallClock},
        {"client": programs.Impatient},
        "progress",
        "c0.2 was not answered: the client gave up",
        workload=Workload(3, service=(Constant(0.03),)),
    ),
)
all_planted = pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.fault.kind)


def test_every_kind_has_a_planted_defect_but_the_one_that_does_nothing() -> None:
    assert {planted.fault.kind for planted in PLANTED} == set(KINDS) - {"noop"}


@all_planted
def test_a_defect_is_caught_because_of_the_fault(planted: Planted) -> None:
    report = planted.run(planted.wrong, planted.fault)
    (verdict,) = report.verdicts
    assert verdict.outcome == "broken", str(report)
    assert planted.says in verdict.reason
    assert report.strikes[0].event is not None


@all_planted
def test_without_the_fault_the_same_program_holds(planted: Planted) -> None:
    report = planted.run(planted.wrong)
    assert report.holds, str(report)


@all_planted
def test_the_correct_program_is_not_flagged_under_the_fault(planted: Planted) -> None:
    for seed in range(5):
        report = planted.run(planted.correct, planted.fault, seed=seed)
        assert report.holds, str(report)


@all_planted
def test_a_run_with_a_fault_is_the_same_every_time(planted: Planted) -> None:
    digests = [
        simulated.digest
        for _ in range(2)
        if (simulated := planted.run(planted.wrong, planted.fault, seed=7).simulated) is not None
    ]
    assert digests[0] == digests[1]


def test_a_noop_changes_nothing_but_the_history_that_tells_of_it() -> None:
    plan = (Noop(at=0.001, lasts=0.002), Noop(at=Upon("replied", "broker-0", 3)))
    with_it = reqrep.run(Scenario(reqrep.pattern("broker"), faults=plan), "simulated")
    without = reqrep.run(Scenario(reqrep.pattern("broker")), "simulated")
    told = with_it.history.of("fault", "healed")
    assert [event.kind for event in told] == ["fault", "fault", "healed", "healed"]
    rest = [event for event in with_it.history if event not in told]
    assert rest == list(without.history)
    assert with_it.holds, str(with_it)


DIGESTS = """
import reqrep
from reqrep.harness.faults import KINDS, parse
for kind in KINDS.values():
    plan = (parse(kind.example.replace("at=0.1", "at=0.001").replace("at=0.5", "at=0.002"), KINDS),)
    scenario = reqrep.Scenario(reqrep.pattern("load-balancing"), seed=5, faults=plan)
    print(reqrep.run(scenario, "simulated").simulated.digest)
"""


def test_digests_are_the_same_in_other_processes_under_other_hash_seeds() -> None:
    outputs = []
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        outputs.append(done.stdout.split())
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0])) == len(KINDS)
