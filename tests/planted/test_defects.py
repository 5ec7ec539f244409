"""Each planted defect is caught by the property it breaks; the correct program is not flagged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import reqrep
from reqrep import (
    ClosedLoop,
    Constant,
    Fault,
    Fleet,
    FromFunction,
    Hold,
    Occasional,
    Pattern,
    Restart,
    Scenario,
    Sized,
    Workload,
)

from . import programs


@dataclass(frozen=True)
class Planted:
    """A defect, the smallest scenario that shows it, and what must say so."""

    name: str
    pattern: str
    programs: dict[str, Any]
    broken: str
    says: str
    fleet: Fleet = Fleet(clients=2, workers=1)
    workload: Workload = field(default_factory=lambda: Workload(requests=8, timeout_s=1))
    correct: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    world: str = "threads"

    def scenario(self, replaced: dict[str, Any]) -> Scenario:
        pattern: Pattern = reqrep.pattern(self.pattern).with_roles(**replaced)
        return Scenario(pattern, self.fleet, self.workload, faults=self.faults)


POISONED = Workload(
    requests=4,
    timeout_s=0.5,
    bodies=FromFunction("tests.planted.programs:poisoned_body"),
)

SELDOM = Workload(requests=4, arrival=ClosedLoop(think_time_s=1.2))
"""Pauses in which workers can be silent."""

DEFECTS = (
    Planted(
        "M01 the server logs the exception and goes back to recv",
        "req-rep",
        {"server": programs.m01_server_that_logs_and_goes_on},
        "state-machine",
        "owes a reply",
        workload=POISONED,
    ),
    Planted(
        "M02 the server replies only to what is truthy",
        "req-rep",
        {"server": programs.m02_server_that_replies_if_truthy},
        "state-machine",
        "owes a reply",
        workload=POISONED,
    ),
    Planted(
        "M04 the client retries on the same REQ",
        "req-rep",
        {"client": programs.M04ClientThatRetriesOnTheSameReq},
        "state-machine",
        "still waits for the reply",
        workload=Workload(requests=2, timeout_s=1, service=(Constant(0.2),)),
    ),
    Planted(
        "M09 the reply leaves out the delimiter",
        "dealer-router",
        {"server": programs.m09_server_without_the_delimiter},
        "envelope",
        "the empty delimiter is missing",
    ),
    Planted(
        "M11 the reply goes to the routing id seen last",
        "dealer-router",
        {"server": programs.m11_server_that_answers_whom_it_saw_last},
        "reply-identity",
        "the request came from",
    ),
    Planted(
        "M13 routing ids are decoded and encoded again",
        "dealer-router",
        {
            "server": programs.m13_server_that_decodes_identities,
            "client": programs.DealerWithAwkwardId,
        },
        "reply-identity",
        "the request came from",
        workload=Workload(requests=2, timeout_s=0.5),
        correct={"client": programs.DealerWithAwkwardId},
    ),
    Planted(
        "M24 the idle list is a stack",
        "load-balancing",
        {"broker": programs.m24_broker_with_a_stack},
        "oldest-ready-first",
        "was ready for longer",
        fleet=Fleet(clients=1, workers=3),
        workload=Workload(requests=12, timeout_s=1),
        correct={"broker": programs.guide_broker},
    ),
    Planted(
        "M26 exactly three frames are unpacked",
        "load-balancing",
        {"broker": programs.m26_broker_that_unpacks_three_frames},
        "robustness",
        "too many values to unpack",
        workload=Workload(requests=2, timeout_s=0.5, bodies=Sized(frames=2)),
        correct={"broker": programs.guide_broker},
    ),
    Planted(
        "M30 READY is listed twice",
        "load-balancing-dealer",
        {
            "broker": programs.m30_broker_that_lists_twice,
            "worker": programs.worker_ready_twice,
        },
        "one-at-a-time",
        "which still holds",
        fleet=Fleet(clients=3, workers=1),
        workload=Workload(requests=9, timeout_s=2, service=(Constant(0.02),)),
        correct={"worker": programs.worker_ready_twice},
    ),
    Planted(
        "M28 any message lists its worker as ready",
        "paranoid-pirate",
        {
            "broker": programs.m28_broker_that_lists_on_any_message,
            "worker": programs.worker_that_beats_before_it_works,
        },
        "one-at-a-time",
        "which still holds",
        workload=Workload(requests=8, timeout_s=2, service=(Constant(0.02),)),
        correct={
            "broker": programs.pirate_broker,
            "worker": programs.worker_that_beats_before_it_works,
        },
    ),
    Planted(
        "M45 the sweep stops at the first worker that is alive",
        "paranoid-pirate",
        {"broker": programs.m45_broker_that_sweeps_up_to_the_first_alive},
        "membership",
        "of which it had heard nothing for",
        fleet=Fleet(clients=1, workers=2),
        workload=SELDOM,
        correct={"broker": programs.pirate_broker},
        faults=(Hold(node="worker-1", at=0.1, lasts=10),),
        world="simulated",
    ),
    Planted(
        "a heartbeat makes a member of who never said READY",
        "paranoid-pirate",
        {"broker": programs.broker_that_takes_a_heartbeat_for_ready},
        "membership",
        "which never joined",
        fleet=Fleet(clients=1, workers=2),
        workload=SELDOM,
        correct={"broker": programs.pirate_broker},
        faults=(Restart("broker-0", 0.1, at=1),),
        world="simulated",
    ),
)


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted.name)
def test_a_planted_defect_breaks_the_property_that_it_is_there_for(planted: Planted) -> None:
    report = reqrep.run(planted.scenario(planted.programs), planted.world, "tcp")
    verdicts = {verdict.property: verdict for verdict in report.verdicts}
    assert verdicts[planted.broken].outcome == "broken", str(report)
    assert planted.says in verdicts[planted.broken].reason
    assert verdicts[planted.broken].witness
    assert report.exit_status == 1


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted.name)
def test_the_correct_program_is_not_flagged_in_the_same_scenario(planted: Planted) -> None:
    report = reqrep.run(planted.scenario(planted.correct), planted.world, "tcp")
    assert report.holds, str(report)


class TestTheChaptersOwnPair:
    """What a reader of the chapter would bring."""

    def test_a_bare_frame_to_a_router_that_unpacks_three_is_caught(self) -> None:
        pattern = reqrep.pattern("dealer-router").with_roles(
            client=programs.ChapterDealer, server=programs.chapter_router
        )
        workload = Workload(requests=2, timeout_s=0.5)
        report = reqrep.run(Scenario(pattern, Fleet(clients=1), workload), "threads", "tcp")
        verdicts = {verdict.property: verdict for verdict in report.verdicts}
        assert verdicts["envelope"].outcome == "broken"
        assert "the empty delimiter is missing" in verdicts["envelope"].reason
        assert verdicts["robustness"].outcome == "broken"
        assert "not enough values to unpack" in verdicts["robustness"].reason
        assert "the empty delimiter is missing" in verdicts["robustness"].reason
        assert [event.kind for event in verdicts["robustness"].witness] == ["recv", "crash"]

    def test_a_server_that_sleeps_where_it_should_read_blocks_the_head_of_the_line(self) -> None:
        pattern = reqrep.pattern("dealer-router").with_roles(server=programs.chapter_sleeper)
        workload = Workload(requests=4, arrival=ClosedLoop(window=2))
        report = reqrep.run(Scenario(pattern, Fleet(clients=2), workload), "threads", "tcp")
        verdicts = {verdict.property: verdict for verdict in report.verdicts}
        assert verdicts["head-of-line"].outcome == "broken"
        assert "head-of-line blocking" in verdicts["head-of-line"].reason
        # Its replies carry no op id: what cannot be known is not called a pass.
        assert verdicts["correlation"].outcome == "unknown"
        assert verdicts["exactly-once"].outcome == "unknown"
        assert report.exit_status == 1

    def test_an_asynchronous_server_with_the_same_delays_is_not_flagged(self) -> None:
        workload = Workload(
            requests=20, arrival=ClosedLoop(window=2), service=(Occasional(slow_s=0.6, one_in=4),)
        )
        scenario = Scenario(reqrep.pattern("dealer-router"), Fleet(clients=2), workload)
        report = reqrep.run(scenario, "threads", "tcp")
        assert report.holds, str(report)
