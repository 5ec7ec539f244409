"""Faults of links on real sockets: they break what they break simulated, and are not seen."""

from __future__ import annotations

import _thread
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import (
    ClosedLoop,
    Cut,
    Delay,
    Fault,
    Fleet,
    History,
    Hold,
    Leave,
    Noop,
    Partition,
    Report,
    Reset,
    Scenario,
    Sized,
    Stranger,
    Throttle,
    Upon,
    Workload,
)
from reqrep.harness import conduct
from reqrep.harness.endpoints import private_folder
from reqrep.harness.real.reach import relayed
from reqrep.patterns.common import Body, Context
from reqrep.patterns.req_rep import ReqClient
from tests.faults.planted import PLANTED, Planted
from tests.faults.programs import AsksAround
from tests.steadily import steadily

MS = 1_000_000
REQUESTS = {"delay": 5, "hold": 2, "cut": 8, "reset": 4, "throttle": 1, "partition": 4}
"""Of each kind's planted defect: as few as show it, since here its time is ours."""

TIMEOUTS_S = {"throttle": 1.0}
"""Of those kinds whose requests take long when all is well."""

all_planted = pytest.mark.parametrize(
    "planted",
    [planted for planted in PLANTED if planted.fault.needs_network],
    ids=lambda planted: planted.fault.kind,
)
over_tcp_and_ipc = pytest.mark.parametrize(
    "transport", ["tcp", pytest.param("ipc", marks=pytest.mark.slow)]
)

in_both_worlds = pytest.mark.parametrize(
    "world", ["threads", pytest.param("processes", marks=pytest.mark.slow)]
)


def run_planted(
    planted: Planted,
    programs: dict[str, Any],
    transport: str,
    *faults: Fault,
    until: Callable[[Report], bool] = lambda report: True,
) -> Report:
    kind = planted.fault.kind
    requests, timeout_s = REQUESTS[kind], TIMEOUTS_S.get(kind, 0.4)
    scenario = planted.scenario(programs, *faults, requests=requests, timeout_s=timeout_s)
    return steadily(lambda: reqrep.run(scenario, "threads", transport), until)


def holds(report: Report) -> bool:
    return report.holds


def run(*faults: Fault, pattern: str = "load-balancing", **fields: Any) -> Report:
    fields.setdefault("workload", Workload(20, timeout_s=1.0))
    scenario = Scenario(reqrep.pattern(pattern), faults=faults, **fields)
    return reqrep.run(scenario, "threads", "tcp")


@all_planted
@over_tcp_and_ipc
def test_a_defect_is_caught_on_real_sockets_because_of_the_fault(
    planted: Planted, transport: str
) -> None:
    report = run_planted(planted, planted.wrong, transport, planted.fault)
    (verdict,) = report.verdicts
    assert verdict.outcome == "broken", str(report)
    assert report.strikes[0].event is not None
    report = run_planted(planted, planted.wrong, transport, until=holds)
    assert report.holds, str(report)


@all_planted
@over_tcp_and_ipc
def test_the_correct_program_is_not_flagged_on_real_sockets(
    planted: Planted, transport: str
) -> None:
    report = run_planted(planted, planted.correct, transport, planted.fault, until=holds)
    assert report.holds, str(report)


@pytest.mark.parametrize("pattern", ["load-balancing", "broker", "req-rep", "dealer-router"])
def test_what_loses_nothing_breaks_no_promise_of_ours(pattern: str) -> None:
    link = reqrep.pattern(pattern).links[-1].name
    plan = Delay(1, 3), Hold(link, at=0.01, lasts=0.05), Throttle(50_000, link)
    report = run(*plan, pattern=pattern)
    assert report.holds, str(report)
    assert report.statistics.ok == 20
    assert {verdict.property for verdict in report.verdicts} >= {"progress", "envelope"}


def test_a_latency_is_that_of_each_hop() -> None:
    workload = Workload(4, ClosedLoop())
    report = run(Delay(20, 20), pattern="req-rep", fleet=Fleet(1, 1), workload=workload)
    load = [op for op in report.history.ops.values() if not report.scenario.is_fresh(op.id)]
    latencies = [op.latency_ns for op in load if op.latency_ns]
    assert len(latencies) == 4
    assert min(latencies) >= 40 * MS


def test_a_hold_to_the_end_is_released_and_what_was_asked_is_answered() -> None:
    report = run(Hold("backend", at=Upon("taken", count=3)), workload=Workload(20, timeout_s=0.3))
    assert report.statistics.ok == 20
    assert report.holds, str(report)
    (healed,) = report.history.of("healed")
    after = [e for e in report.history.of("recv") if e.node.startswith("worker")]
    assert after[-1].time_ns > healed.time_ns


@pytest.mark.parametrize(
    "plan",
    [[Noop(at=0.02, lasts=0.004)], [Noop(at=Upon("worked", count=5), lasts=0.004)]],
    ids=["at a time", "upon a point"],
)
def test_a_fault_lasts_as_long_as_it_says_and_not_to_the_next_look_around(
    plan: list[Fault], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct, "TICK_S", 30.0)
    workload = Workload(60, ClosedLoop(think_time_s=0.002))
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=workload)
    (struck,), (healed,) = report.history.of("fault"), report.history.of("healed")
    assert healed.time_ns - struck.time_ns >= 4 * MS
    assert healed.time_ns < report.history.of("invoke")[-1].time_ns  # Not by the end.


def test_after_a_reset_connections_are_made_anew_at_both_ends() -> None:
    workload = Workload(30, ClosedLoop(think_time_s=0.02), timeout_s=1.0)
    report = run(Reset("service", at=0.01), pattern="req-rep", fleet=Fleet(1, 1), workload=workload)
    (struck,) = report.history.of("fault")
    for node in "client-0", "server-0":
        told = [e for e in report.history.of("connected", "disconnected") if e.node == node]
        assert [e.kind for e in told if e.time_ns > struck.time_ns][:2] == [
            "disconnected",
            "connected",
        ]


def test_a_node_that_no_fault_names_is_not_relayed() -> None:
    pattern, fleet = reqrep.pattern("load-balancing"), Fleet(3, 2)
    assert relayed(Scenario(pattern, fleet, faults=(Noop(),))) == []
    assert relayed(Scenario(pattern, fleet, faults=(Noop(), Cut(node="worker-1")))) == [
        ("worker-1", "broker-0")
    ]
    assert len(relayed(Scenario(pattern, fleet, faults=(Delay(1, 2),)))) == 5
    group = Partition(("broker-0", "worker-1", "client-0", "client-2"))
    assert relayed(Scenario(pattern, fleet, faults=(group,))) == [
        ("client-1", "broker-0"),
        ("worker-0", "broker-0"),
    ]


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_programs_and_history_know_no_endpoint_but_the_one_that_was_bound(transport: str) -> None:
    seen: list[tuple[str, str]] = []

    class Looks(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            super().__init__(context, endpoints)
            (endpoint,) = endpoints
            seen.append((endpoint, self.socket.get_string(zmq.LAST_ENDPOINT)))

        def call(self, body: Body) -> Body:
            reply = super().call(body)
            self.socket.disconnect(seen[0][0])
            self.socket.connect(seen[0][0])
            return reply

    pattern = reqrep.pattern("req-rep").with_roles(client=Looks)
    scenario = Scenario(pattern, Fleet(1, 1), Workload(3), faults=(Delay(0, 1),))
    report = reqrep.run(scenario, "threads", transport)
    assert report.statistics.ok == 3
    assert seen[0][0] == seen[0][1]
    told = report.history.of("bind", "connect", "disconnect", "connected", "disconnected")
    assert {event.kind for event in told} >= {"bind", "connect", "disconnect", "connected"}
    assert {event.text for event in told} == {seen[0][0]}


def test_a_node_that_was_cut_off_while_it_works_is_found_again() -> None:
    report = run(
        Cut(node="worker-0", at=Upon("taken", "worker-0", 2), lasts=0.1),
        workload=Workload(40, ClosedLoop(think_time_s=0.01), timeout_s=0.5),
    )
    (healed,) = report.history.of("healed")
    connected = report.history.of("connected", node="worker-0")
    assert connected[-1].time_ns > healed.time_ns
    kept = {verdict.property: verdict.outcome for verdict in report.verdicts}
    assert "broken" not in kept.values(), str(report)


def test_a_stranger_that_comes_upon_a_point_of_a_node_that_leaves_is_none_of_its_own() -> None:
    report = run(
        Stranger("frontend", at=Upon("taken", node="worker-0")),
        Leave(node="worker-0", at=Upon("taken", node="worker-0", count=3)),
    )
    assert all(strike.event is not None for strike in report.strikes)
    assert not report.history.of("crash"), str(report)


@in_both_worlds
@over_tcp_and_ipc
@pytest.mark.parametrize(
    ("seen_by", "client", "server"),
    [
        ("connector", ["disconnected", "connected"], ["connected"]),
        ("binder", [], ["disconnected"]),
    ],
)
def test_of_a_reset_that_one_side_sees_the_other_hears_nothing(
    seen_by: str, client: list[str], server: list[str], world: str, transport: str
) -> None:
    workload = Workload(20, ClosedLoop(think_time_s=0.02), timeout_s=0.3)
    plan = (Reset("service", at=0.01, seen_by=seen_by),)
    scenario = Scenario(reqrep.pattern("req-rep"), Fleet(1, 1), workload, faults=plan)
    report = reqrep.run(scenario, world, transport)
    (struck,) = report.history.of("fault")
    over_ns = report.history.of("ok", "info")[-1].time_ns
    for node, told in ("client-0", client), ("server-0", server):
        assert [
            event.kind
            for event in report.history.of("connected", "disconnected", node=node)
            if struck.time_ns < event.time_ns < over_ns
        ] == told


@pytest.mark.parametrize("world", ["simulated", "threads"])
@pytest.mark.parametrize(
    ("ttl_ms", "told"), [(0, ["connected"]), (200, ["connected", "disconnected"])]
)
def test_a_ping_says_how_long_to_wait_for_the_next(
    world: str, ttl_ms: int, told: list[str]
) -> None:
    class Pings(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            context.setsockopt(zmq.HEARTBEAT_IVL, 50)
            context.setsockopt(zmq.HEARTBEAT_TTL, ttl_ms)
            context.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5000)
            super().__init__(context, endpoints)

    # The server keeps what leads nowhere, and sends no pings. It is long since that a request came,
    # after which only the next ping would say how long to wait.
    plan = (Reset("service", at=0.45, seen_by="connector"),)
    workload = Workload(4, ClosedLoop(think_time_s=0.3), timeout_s=0.3)
    pattern = reqrep.pattern("req-rep").with_roles(client=Pings)
    scenario = Scenario(pattern, Fleet(1, 1), workload, faults=plan)

    def told_to_server(report: Report) -> list[str]:
        (struck,) = report.history.of("fault")
        over_ns = report.history.of("ok", "info")[-1].time_ns
        of_server = report.history.of("connected", "disconnected", node="server-0")
        return sorted(e.kind for e in of_server if struck.time_ns < e.time_ns < over_ns)

    report = steadily(
        lambda: reqrep.run(scenario, world, "tcp"), lambda report: told_to_server(report) == told
    )
    assert told_to_server(report) == told


@in_both_worlds
@over_tcp_and_ipc
def test_a_body_takes_as_long_as_its_bytes_take_to_cross_each_way(
    world: str, transport: str
) -> None:
    workload, plan = Workload(3, bodies=Sized(2000)), (Throttle(50_000),)
    scenario = Scenario(reqrep.pattern("req-rep"), Fleet(1, 1), workload, faults=plan)
    report = reqrep.run(scenario, world, transport)
    load = [op for op in report.history.ops.values() if not report.scenario.is_fresh(op.id)]
    latencies = [op.latency_ns for op in load if op.latency_ns]
    assert len(latencies) == 3
    assert min(latencies) >= 80 * MS


@in_both_worlds
@over_tcp_and_ipc
def test_inside_each_group_of_a_partition_all_goes_on(world: str, transport: str) -> None:
    plan = (Partition(("client-0", "server-0"), at=0.05, lasts=0.4),)
    workload = Workload(60, ClosedLoop(think_time_s=0.01))
    pattern = reqrep.pattern("req-rep").with_roles(client=AsksAround)
    report = reqrep.run(Scenario(pattern, Fleet(2, 2), workload, faults=plan), world, transport)
    (struck,), (healed,) = report.history.of("fault"), report.history.of("healed")
    asked = {event.op: event for event in report.history.of("invoke")}
    during = {
        (asked[event.op].node, event.node)
        for event in report.history.of("execute")
        # The fault is told before it is done: what was asked while it struck tells nothing.
        if struck.time_ns + 100 * MS < asked[event.op].time_ns and event.time_ns < healed.time_ns
    }
    assert during == {("client-0", "server-0"), ("client-1", "server-1")}


def test_ctrl_c_while_links_are_broken_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def interrupt(drivers: list[Any]) -> None:
        nonlocal looks
        looks += any(driver.answered for driver in drivers)
        if looks == 3:
            _thread.interrupt_main()

    folder = private_folder()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = sorted(thread.name for thread in threading.enumerate())
    plan = Hold("service", at=Upon("taken", count=5)), Cut("service", at=0.1)
    scenario = Scenario(reqrep.pattern("req-rep"), workload=Workload(1000), faults=plan)
    with pytest.raises(KeyboardInterrupt):
        reqrep.run(scenario, "threads", "ipc", progress=interrupt, history=tmp_path / "history")
    assert sorted(thread.name for thread in threading.enumerate()) == before
    folder.rmdir()  # It is empty.
    history = History.load(tmp_path / "history")
    assert history.of("fault")
    assert not history.of("healed")
