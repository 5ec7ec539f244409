"""When a fault strikes and is healed, and what becomes of two that overlap."""

from __future__ import annotations

import pytest

from reqrep import (
    ClosedLoop,
    Delay,
    Fleet,
    Hold,
    Noop,
    Report,
    Sized,
    Stall,
    Throttle,
    Upon,
    Workload,
)

from .runs import MS, SLOW, healed, load_begun_ns, run, struck


def test_a_fault_strikes_so_long_after_the_load_began_and_is_healed_so_long_after() -> None:
    report = run(Hold("backend", at=0.03, lasts=0.02), workload=SLOW)
    assert struck(report).time_ns == load_begun_ns(report) + 30 * MS
    assert healed(report).time_ns == struck(report).time_ns + 20 * MS
    assert struck(report).node == healed(report).node == "backend"


@pytest.mark.parametrize(
    ("point", "kind", "count"),
    [
        ("arriving", "recv", 3),
        ("taken", "execute", 2),
        ("worked", "executed", 3),
        ("replied", "send", 2),
    ],
)
def test_a_fault_strikes_upon_the_nth_passing_of_a_point(point: str, kind: str, count: int) -> None:
    report = run(Noop(at=Upon(point, "worker-1", count)))
    before = [e for e in report.history if e.time_ns <= struck(report).time_ns]
    before = before[: before.index(struck(report))]
    passed = [e for e in before if e.node == "worker-1" and e.kind == kind]
    if kind == "send":
        passed = passed[1:]  # The first is its ready signal, and no reply.
    assert len(passed) == count
    assert passed[-1] is before[-1]


def test_a_point_without_a_node_counts_all_that_carry_requests_out_and_no_broker() -> None:
    report = run(Noop(at=Upon("arriving", count=7)), pattern="broker")
    before = report.history.events[: report.history.events.index(struck(report))]
    assert sum(e.kind == "recv" and e.node.startswith("worker") for e in before) == 7


def test_a_broker_passes_requests_and_replies_on() -> None:
    report = run(Noop(at=Upon("arriving", "broker-0", 5)), Noop(at=Upon("replied", "broker-0", 5)))
    assert struck(report, 0).time_ns < struck(report, 1).time_ns


def test_two_faults_that_overlap_are_healed_when_the_last_of_them_is() -> None:
    plan = Hold("backend", at=0.02, lasts=0.05), Hold("backend", at=0.04, lasts=0.1)
    report = run(*plan, workload=SLOW)
    arrived = [e.time_ns for e in report.history.of("recv") if e.node.startswith("worker")]
    begun_ns = load_begun_ns(report)
    assert not [t for t in arrived if begun_ns + 21 * MS < t < begun_ns + 140 * MS]
    assert [t for t in arrived if t >= begun_ns + 140 * MS]
    assert report.holds, str(report)


def test_of_two_latencies_the_latest_that_stands_counts() -> None:
    plan = Delay(20, 20, at=0, lasts=0.5), Delay(50, 50, at=0.05, lasts=0.2)
    workload = Workload(8, ClosedLoop(think_time_s=0.1))
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=workload)
    latencies = [round(op.latency_ns / MS) for op in report.history.ops.values() if op.latency_ns]
    assert latencies[0] == 100
    assert 40 in latencies
    assert latencies[-1] == 0


def latencies_ms(report: Report) -> list[float]:
    ops = report.history.ops.values()
    load = [op for op in ops if not report.scenario.is_fresh(op.id)]
    return [op.latency_ns / MS for op in load if op.latency_ns]


BIG = Workload(4, bodies=Sized(2000))
"""A body that takes 100 ms to cross where 20,000 bytes do in a second."""


def test_a_body_takes_as_long_as_its_bytes_take_to_cross_each_way() -> None:
    report = run(Throttle(20_000), pattern="req-rep", fleet=Fleet(1, 1), workload=BIG)
    assert all(200 < latency < 203 for latency in latencies_ms(report))
    assert len(latencies_ms(report)) == 4


def test_of_two_bandwidths_the_narrowest_that_stands_counts() -> None:
    plan = Throttle(20_000, at=0.0), Throttle(40_000, at=0.1), Throttle(10_000, at=0.5, lasts=0.5)
    workload = BIG.replace(requests=6)
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=workload)
    # It is narrower for the reply to the third request, and until that to the fourth is under way.
    assert [round(latency, -1) for latency in latencies_ms(report)] == [
        200,
        200,
        310,
        350,
        200,
        200,
    ]


def test_what_waits_to_cross_arrives_at_once_when_the_bandwidth_is_healed() -> None:
    plan = (Throttle(1_000, at=0.0, lasts=0.25),)
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=BIG)
    assert [round(latency) for latency in latencies_ms(report)] == [250, 0, 0, 0]


def test_each_connection_has_the_bandwidth_for_itself() -> None:
    report = run(Throttle(20_000), pattern="req-rep", fleet=Fleet(3, 1), workload=BIG)
    assert all(200 < latency < 203 for latency in latencies_ms(report))


def test_what_is_broken_to_the_end_is_healed_and_the_rest_of_the_load_goes_on() -> None:
    report = run(Hold("frontend", at=0.002))
    assert report.statistics.ok == 100
    assert report.holds, str(report)
    late = [op for op in report.history.ops.values() if op.invoke.time_ns > healed(report).time_ns]
    assert late


@pytest.mark.parametrize("node", ["client-1", "broker-0", "worker-2"])
def test_a_node_that_stands_still_to_the_end_goes_on_when_it_is_healed(node: str) -> None:
    report = run(Stall(node, at=0.002))
    assert report.statistics.ok == 100
    assert report.holds, str(report)


def test_a_pipelining_client_gets_what_was_kept_back_longer_than_it_waits() -> None:
    report = run(Hold("service", at=0.1, lasts=6.0), pattern="dealer-router")
    assert report.history.of("info")
    assert report.holds, str(report)
