"""Faults upon a message on its way: which one it is, and what becomes of it, in each world alike."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

import reqrep
from reqrep import (
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Delay,
    Event,
    Fault,
    Fleet,
    Hold,
    Noop,
    Report,
    Reset,
    Scenario,
    Stranger,
    Upon,
    Workload,
)
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.faults import WAY_POINTS
from reqrep.harness.faults.scene import Look, pairs, ways_of_messages
from reqrep.harness.frames import find_op
from reqrep.harness.real.reach import relayed
from reqrep.harness.simulated_reach import SimulatedReach

MS = 1_000_000
slow = pytest.mark.slow


def run(
    *faults: Fault, pattern: str = "load-balancing", world: str = "simulated", **fields: Any
) -> Report:
    fields.setdefault("fleet", Fleet(2, 2))
    fields.setdefault("workload", Workload(12, ClosedLoop(think_time_s=0.002), timeout_s=0.3))
    scenario = Scenario(reqrep.pattern(pattern), faults=faults, **fields)
    return reqrep.run(scenario, world, "tcp")


def struck(report: Report, number: int = 0) -> Event:
    event = report.strikes[number].event
    assert event is not None, str(report)
    return event


def ops(report: Report, kind: str, node: str, *, fault: int = 0) -> list[str]:
    """The ops that a node sent or received before a fault struck."""
    before = report.history.events[: report.history.events.index(struck(report, fault))]
    found = [find_op(e.frames) for e in before if e.kind == kind and e.node == node]
    return [op for op in found if op is not None]


# --- which ---------------------------------------------------------------------------


def test_messages_are_counted_as_they_pass_from_one_node_to_another() -> None:
    report = run(Noop(at=Upon("passing", count=3, source="worker-0", target="broker-0")))
    assert len(ops(report, "send", "worker-0")) == 3


def test_without_a_source_those_from_all_nodes_are_counted_together() -> None:
    report = run(Noop(at=Upon("passing", count=5, target="broker-0")))
    sent = [ops(report, "send", node) for node in ("client-0", "client-1", "worker-0", "worker-1")]
    assert all(sent)
    assert len(ops(report, "recv", "broker-0")) == 4


def test_what_nodes_say_among_themselves_is_not_counted() -> None:
    report = run(Noop(at=Upon("passed", source="worker-0", target="broker-0")))
    assert len(ops(report, "send", "worker-0")) == 1
    sent = [
        e for e in report.history.of("send", node="worker-0") if e.time_ns < struck(report).time_ns
    ]
    assert len(sent) == 2  # The first says that it is ready.


def test_what_a_stranger_sends_is_not_counted() -> None:
    never = Noop(at=Upon("passing", count=13, target="broker-0", source="client-0"))
    workload = Workload(12, ClosedLoop(think_time_s=0.002))
    report = run(Stranger("frontend"), never, fleet=Fleet(1, 1), workload=workload)
    assert [strike.event is not None for strike in report.strikes] == [True, False]
    assert report.exit_status == 3


def test_of_two_faults_upon_one_message_both_strike_and_each_counts_for_itself() -> None:
    plan = (
        Noop(at=Upon("passing", count=2)),
        Hold("backend", at=Upon("passing", count=2), lasts=0.01),
    )
    report = run(*plan, Noop(at=Upon("passing", count=4)))
    assert struck(report, 0).time_ns == struck(report, 1).time_ns < struck(report, 2).time_ns


def test_when_nobody_waits_for_a_message_any_more_none_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: dict[tuple[str, str], bool] = {}
    look_at = SimulatedReach.look_at

    def told(self: SimulatedReach, source: str, target: str, look: Look | None) -> None:
        looks[source, target] = look is not None
        look_at(self, source, target, look)

    monkeypatch.setattr(SimulatedReach, "look_at", told)
    run(Noop(at=0.001), Noop(at=Upon("taken")), pattern="req-rep", fleet=Fleet(1, 1))
    assert looks == {}
    there, back = ("client-0", "server-0"), ("server-0", "client-0")
    both = Noop(at=Upon("passing", count=2)), Noop(at=Upon("passed", count=100, target="client-0"))
    run(*both, pattern="req-rep", fleet=Fleet(1, 1))
    assert looks == {there: False, back: True}


@pytest.mark.parametrize("name", pattern_names())
def test_messages_go_only_between_nodes_that_meet_and_from_and_to_every_client(name: str) -> None:
    pattern = reqrep.pattern(name)
    fleet = Fleet(2, 2) if pattern.is_sizable else Fleet(2, pattern.fleet.workers)
    met = pairs(pattern, fleet, None, None)
    ways = ways_of_messages(pattern, fleet, None, None)
    assert {frozenset(way) for way in ways} <= {frozenset(pair) for pair in met}
    assert {"client-0", "client-1"} <= {source for source, _ in ways}
    report = run(
        *(Noop(at=Upon("passed", None, 1, *way)) for way in ways), pattern=name, fleet=fleet
    )
    assert sum(strike.event is not None for strike in report.strikes) >= len(ways) // 2


# --- what becomes of it -----------------------------------------------------------------


def test_a_hold_holds_that_very_message_and_those_behind_it() -> None:
    fault = Hold(
        node="client-0",
        direction="in",
        at=Upon("passing", count=2, source="broker-0", target="client-0"),
        lasts=0.05,
    )
    report = run(fault)
    assert len(ops(report, "recv", "client-0")) == 1
    second = [e for e in report.history.of("recv", node="client-0") if find_op(e.frames)][1]
    (healed,) = report.history.of("healed")
    assert healed.time_ns - struck(report).time_ns == 50 * MS
    assert healed.time_ns <= second.time_ns < healed.time_ns + MS
    assert report.holds, str(report)


def test_a_message_that_was_held_is_not_counted_twice() -> None:
    at = Upon("passing", count=2, target="client-0")
    report = run(Hold(at=at, lasts=0.01), Noop(at=at.replace(count=3)))
    assert len(ops(report, "recv", "client-0", fault=1)) == 2


@pytest.mark.parametrize(("point", "lost"), [("passing", ["c0.1"]), ("passed", [])])
def test_a_connection_that_breaks_upon_a_message_loses_it_or_breaks_once_it_has_come(
    point: str, lost: list[str]
) -> None:
    fault = Reset(node="worker-0", at=Upon(point, count=2, target="worker-0"))
    report = run(fault, fleet=Fleet(1, 1))
    assert struck(report).time_ns == report.history.of("disconnected")[0].time_ns
    assert [find_op(e.frames) for e in report.history.of("dropped")] == lost
    assert len(report.history.of("execute")) == (1 if lost else 12)


def test_a_node_that_crashes_upon_a_message_never_gets_it() -> None:
    report = run(
        Crash("worker-0", at=Upon("passing", count=2, target="worker-0")), fleet=Fleet(1, 1)
    )
    assert len(report.history.of("execute", node="worker-0")) == 1


# --- in each world alike -------------------------------------------------------------------


BETWEEN = {
    "req-rep": ("client-0", "server-0"),
    "load-balancing": ("worker-0", "broker-0"),
}


def got(report: Report, node: str) -> list[str]:
    """What came to a node of the load; who asks first afterwards, an old client or a newcomer, is open."""
    found = [find_op(event.frames) for event in report.history.of("recv", node=node)]
    return [op for op in found if op is not None and not report.scenario.is_fresh(op)]


def outcomes(report: Report) -> dict[str, str | None]:
    ops = report.history.ops
    return {name: op.outcome for name, op in ops.items() if not report.scenario.is_fresh(name)}


QUICK = {
    ("threads", "req-rep", Hold, "passing", "back"),
    ("threads", "req-rep", Cut, "passing", "back"),
    ("threads", "req-rep", Reset, "passing", "there"),
    ("threads", "req-rep", Reset, "passed", "there"),
    ("processes", "req-rep", Reset, "passing", "back"),
}
CASES = product(
    ("threads", "processes"), BETWEEN, (Hold, Cut, Reset), WAY_POINTS, ("there", "back")
)


@pytest.mark.parametrize(
    ("world", "name", "kind", "point", "whither"),
    [pytest.param(*case, marks=() if case in QUICK else slow) for case in CASES],
)
def test_on_real_sockets_the_same_ops_have_the_same_outcome(
    world: str, name: str, kind: Any, point: str, whither: str
) -> None:
    one, other = BETWEEN[name]
    source, target = (other, one) if whither == "back" else (one, other)
    lasts = {} if kind is Reset else {"lasts": 0.02}
    fault = kind(node=one, at=Upon(point, count=2, source=source, target=target), **lasts)
    fields: dict[str, Any] = {
        "pattern": name,
        "fleet": Fleet(1, 1),
        # Nobody answers before libzmq has heard that a connection is broken: simulated what is
        # sent then waits for the next one.
        "workload": Workload(
            4, ClosedLoop(think_time_s=0.02), service=(Constant(0.02),), timeout_s=0.6
        ),
    }
    simulated, real = run(fault, **fields), run(fault, world=world, **fields)
    assert outcomes(real) == outcomes(simulated)
    assert struck(real).node == struck(simulated).node == one
    for node in one, other:
        assert got(real, node) == got(simulated, node)


def test_a_fault_upon_a_message_that_a_healing_lets_through_strikes_on_real_sockets_too() -> None:
    """The relay is asked by who heals, and asks for the strike itself."""
    plan = (
        Hold("service", at=0, lasts=0.02),
        Hold("service", at=Upon("passing", source="client-0"), lasts=0.02),
        Hold("service", at=Upon("passed", count=2, target="client-0"), lasts=0.02),
        Noop(at=Upon("taken", count=2)),
    )
    for world in "simulated", "threads":
        report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), world=world)
        assert all(strike.event is not None for strike in report.strikes), str(report)
        assert report.statistics.ok == 12


def test_faults_upon_many_messages_and_at_many_points_do_not_wait_for_each_other() -> None:
    plan = [
        Hold(at=Upon(point, count=number), lasts=0.001)
        for number in range(1, 9)
        for point in ("passing", "passed", "taken", "replied")
    ]
    report = run(*plan, Delay(0, 1), pattern="req-rep", world="threads")
    assert all(strike.event is not None for strike in report.strikes), str(report)
    assert report.statistics.ok == 12


def test_only_where_a_message_is_waited_for_connections_are_relayed() -> None:
    pattern, fleet = reqrep.pattern("load-balancing"), Fleet(3, 2)
    noop = Noop(at=Upon("passing", source="broker-0", target="client-1"))
    assert relayed(Scenario(pattern, fleet, faults=(noop,))) == [("broker-0", "client-1")]
