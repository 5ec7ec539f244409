"""What faults do to a run: when they strike, what they do to nodes, and what the report says."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from itertools import pairwise
from typing import Any

import pytest
import zmq
from click.testing import CliRunner

import reqrep
from reqrep import (
    ClosedLoop,
    Crash,
    Cut,
    Delay,
    Event,
    Fault,
    Fleet,
    History,
    Hold,
    Late,
    Leave,
    MisuseError,
    Noop,
    Partition,
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
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.cli.command import reqrep as command
from reqrep.harness.faults.stranger import GOOD
from reqrep.harness.report.data import report_data
from reqrep.patterns.common import LOSING, Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient, rep_server
from tests.simulation.programs import asyncio_server

from .planted import RENAMED, UNHURRIED
from .programs import (
    AsksAround,
    Reopening,
    broker_that_takes_leave_of_the_dead,
    server_that_tells_its_marks,
    server_that_tells_its_name,
    server_that_waits_for_room,
)

MS = 1_000_000
SLOW = Workload(40, ClosedLoop(think_time_s=0.01))


def run(*faults: Fault, pattern: str = "load-balancing", **fields: Any) -> Report:
    scenario = Scenario(reqrep.pattern(pattern), faults=faults, **fields)
    return reqrep.run(scenario, "simulated")


def struck(report: Report, number: int = 0) -> Event:
    event = report.strikes[number].event
    assert event is not None, str(report)
    return event


def healed(report: Report) -> Event:
    (event,) = report.history.of("healed")
    return event


def load_begun_ns(report: Report) -> int:
    """By the first request, which comes after a think time of 10 ms, to the microsecond."""
    return (report.history.of("invoke")[0].time_ns - 10 * MS) // 1000 * 1000


# --- when -------------------------------------------------------------------------


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


# --- what it does to nodes ----------------------------------------------------------


def test_a_node_that_crashes_does_nothing_any_more_not_even_its_last_words() -> None:
    def with_last_words(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        try:
            while True:
                socket.send_multipart(handle(socket.recv_multipart()))
        finally:
            socket.send(b"last words")

    pattern = reqrep.pattern("req-rep").with_roles(server=with_last_words)
    fault = Crash("server-0", at=Upon("taken", count=3))
    report = reqrep.run(Scenario(pattern, Fleet(2, 1), faults=(fault,)), "simulated")
    after = report.history.events[report.history.events.index(struck(report)) + 1 :]
    assert {e.kind for e in after if e.node == "server-0"} <= {
        "disconnected",
        "close",
        "end",
        "dropped",
    }
    assert not report.history.of("crash")  # That would be a program that raised.
    assert {verdict.property for verdict in report.verdicts if not verdict} == set()


def test_the_threads_of_a_node_die_with_it() -> None:
    report = run(Crash("server-0", at=0.2), pattern="dealer-router")
    done = [e.time_ns for e in report.history.of("executed", node="server-0")]
    assert max(done) <= struck(report).time_ns


def test_the_open_ops_of_a_client_that_crashes_are_info() -> None:
    report = run(Crash("client-0", at=Upon("taken", count=6)))
    load = [op for op in report.history.ops.values() if not report.scenario.is_fresh(op.id)]
    ops = [op for op in load if op.invoke.node == "client-0"]
    assert [op.outcome for op in ops[:-1]] == ["ok"] * (len(ops) - 1)
    assert ops[-1].outcome == "info"
    others = [op for op in load if op.invoke.node != "client-0"]
    assert [op.outcome for op in others] == ["ok"] * 75


def test_a_binder_that_is_restarted_has_its_endpoints_again_and_is_found_there() -> None:
    report = run(
        Restart("server-0", 0.05, at=0.1),
        pattern="dealer-router",
        workload=Workload(100, ClosedLoop(2, think_time_s=0.01), timeout_s=0.5),
    )
    binds = [e.text for e in report.history.of("bind", node="server-0") if e.text.startswith("tcp")]
    assert len(binds) == 2
    assert binds[0] == binds[1]
    after = [e for e in report.history.of("ok") if e.time_ns > healed(report).time_ns]
    assert len(after) > 10


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_worker_that_is_restarted_gets_work_again(transport: str) -> None:
    scenario = Scenario(
        reqrep.pattern("load-balancing"),
        Fleet(4, 2),
        SLOW,
        faults=(Restart("worker-0", 0.02, at=0.03),),
    )
    report = reqrep.run(scenario, "simulated", transport)
    work = report.history.of("executed", node="worker-0")
    assert work[0].time_ns < struck(report).time_ns
    assert work[-1].time_ns > healed(report).time_ns


def test_an_explicit_routing_id_is_the_same_after_a_restart_and_another_is_new() -> None:
    def named(context: Context, backend: str, handle: Handle, name: str) -> None:
        socket = context.socket(zmq.REQ)
        if name == "worker-0":
            socket.set(zmq.ROUTING_ID, name.encode())
        socket.connect(backend)
        socket.send(b"READY")
        while True:
            client, empty, *body = socket.recv_multipart()
            socket.send_multipart([client, empty, *handle(body)])

    pattern = reqrep.pattern("load-balancing").with_roles(worker=named)
    plan = Restart("worker-0", 0.02, at=0.03), Restart("worker-1", 0.02, at=0.03)
    report = reqrep.run(Scenario(pattern, Fleet(4, 2), SLOW, faults=plan), "simulated")
    ready = [e.frames[0] for e in report.history.of("recv") if e.frames[-1] == b"READY"]
    assert ready.count(b"worker-0") == 2
    assert len({ready_id for ready_id in ready if ready_id != b"worker-0"}) == 2


def test_a_node_that_stands_still_makes_no_step_while_its_kernel_takes_messages() -> None:
    report = run(Stall("worker-1", at=0.03, lasts=0.1), workload=SLOW)
    begun_ns, ended_ns = struck(report).time_ns, healed(report).time_ns
    during = [e for e in report.history if begun_ns < e.time_ns < ended_ns]
    assert not [e for e in during if e.node == "worker-1"]
    sent = [e.op_in_frames for e in during if e.kind == "send" and e.node == "broker-0"]
    taken = [e.op for e in report.history.of("execute", node="worker-1") if e.time_ns >= ended_ns]
    assert taken[0] in sent


def test_a_node_with_an_event_loop_that_stands_still_upon_a_point_has_its_loop_again() -> None:
    pattern = reqrep.pattern("req-rep").with_roles(server=asyncio_server)
    plan = (Stall("server-0", at=Upon("replied", "server-0", 2), lasts=0.02),)
    report = reqrep.run(Scenario(pattern, Fleet(2, 2), SLOW, faults=plan), "simulated")
    assert report.holds, str(report)
    assert report.history.of("executed", node="server-0")[-1].time_ns > healed(report).time_ns


def test_a_stalled_node_that_crashes_is_dead_and_is_not_resumed() -> None:
    plan = Stall("worker-1", at=0.02, lasts=0.2), Crash("worker-1", at=0.05)
    report = run(*plan, workload=SLOW)
    (end,) = report.history.of("end", node="worker-1")
    assert end.time_ns == struck(report, 1).time_ns


def test_a_one_way_hold_lets_the_other_way_through() -> None:
    report = run(Hold(node="worker-1", direction="out", at=0.03, lasts=0.1), workload=SLOW)
    begun_ns, ended_ns = struck(report).time_ns, healed(report).time_ns
    done = [
        e for e in report.history.of("executed", node="worker-1") if begun_ns < e.time_ns < ended_ns
    ]
    assert len(done) == 1  # Its reply is on its way all the time, so it gets no more work.
    assert report.holds, str(report)


def test_a_reset_breaks_connections_and_they_are_made_anew() -> None:
    report = run(Reset("frontend", at=0.05), pattern="broker", workload=SLOW)
    broken = [e for e in report.history.of("disconnected") if e.time_ns == struck(report).time_ns]
    assert {e.node for e in broken} == {"broker-0", *(f"client-{n}" for n in range(4))}
    again = [e for e in report.history.of("connected") if e.time_ns > struck(report).time_ns]
    assert len(again) == 8


def test_a_partition_cuts_a_group_off_and_inside_each_group_all_goes_on() -> None:
    plan = (Partition(("client-0", "server-0"), at=0.05, lasts=1.0),)
    pattern = reqrep.pattern("req-rep").with_roles(client=AsksAround)
    scenario = Scenario(pattern, Fleet(2, 2), SLOW.replace(requests=200), faults=plan)
    report = reqrep.run(scenario, "simulated")
    begun_ns, ended_ns = struck(report).time_ns + MS, healed(report).time_ns
    asked = {event.op: event.node for event in report.history.of("invoke")}
    served = [(asked[e.op], e.node, e.time_ns) for e in report.history.of("execute")]
    during = {served[:2] for served in served if begun_ns < served[2] < ended_ns}
    assert during == {("client-0", "server-0"), ("client-1", "server-1")}
    after = {served[:2] for served in served if served[2] > ended_ns}
    assert after >= {(f"client-{n}", f"server-{m}") for n in range(2) for m in range(2)}


def test_a_partition_and_a_cut_that_overlap_are_both_healed_before_connections_are_made() -> None:
    plan = Partition(("server-0",), at=0.02, lasts=0.1), Cut("service", at=0.05, lasts=0.3)
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=SLOW)
    again = [e.time_ns for e in report.history.of("connected")][2:]
    assert min(again) > report.history.of("healed")[1].time_ns


def test_the_service_takes_longer_or_raises_for_the_nth_request_of_a_worker() -> None:
    report = run(Late(0.25, "worker-1", nth=3))
    begun = report.history.of("execute", node="worker-1")
    done = report.history.of("executed", node="worker-1")
    took_ms = [
        round((end.time_ns - begin.time_ns) / MS) for begin, end in zip(begun, done, strict=True)
    ]
    assert took_ms[:4] == [0, 0, 250, 0]
    report = run(Raises("worker-1", nth=3))
    (crash,) = report.history.of("crash")
    assert (
        "RuntimeError: the service raises, as planned: Raises(node='worker-1', nth=3)" in crash.text
    )


@pytest.mark.parametrize("name", pattern_names())
def test_a_stranger_sends_odd_messages_and_is_answered_and_is_not_taken_for_the_fleet(
    name: str,
) -> None:
    link = reqrep.pattern(name).links[0].name
    report = run(Stranger(link), pattern=name)
    assert report.holds, str(report)
    assert report.statistics.ok == 100
    sent = report.history.of("send", node="stranger-0")
    asked = [event for event in sent if GOOD in event.frames]
    assert len(asked) == len(sent) / 2 > 7
    got = report.history.of("recv", node="stranger-0")
    answered = [event for event in got if GOOD in event.frames]
    if name != "custom-router-chosen":  # It answers nobody but its chosen client.
        assert len(answered) >= len(asked)


def test_a_stranger_has_struck_when_the_fleet_has_received_it() -> None:
    report = run(Stranger("frontend"), pattern="broker")
    first = next(e for e in report.history.of("recv") if e.frames[0] == b"stranger-0")
    assert struck(report).node == "broker-0"
    assert struck(report).time_ns == first.time_ns


@pytest.mark.parametrize(
    ("world", "transport"),
    [("simulated", "tcp"), ("threads", "tcp"), ("threads", "ipc"), ("processes", "ipc")],
)
def test_a_node_that_leaves_runs_to_its_end_and_stays_away_while_the_others_go_on(
    world: str, transport: str
) -> None:
    # What reaches the worker while it leaves is lost, so this client asks again.
    pattern = dataclasses.replace(
        reqrep.pattern("load-balancing-dealer").with_roles(
            client=Reopening, broker=broker_that_takes_leave_of_the_dead
        ),
        promises=(Promise("robustness", LOSING), Promise("shutdown", LOSING)),
    )
    scenario = Scenario(pattern, Fleet(1, 2), UNHURRIED, faults=(Leave("worker-0", at=0.05),))
    report = reqrep.run(scenario, world, transport)
    assert report.holds, str(report)
    assert report.statistics.ok == 12
    (closed,) = report.history.of("close", node="worker-0")
    (end,) = report.history.of("end", node="worker-0")
    last = report.history.of("execute")[-1]
    assert last.node == "worker-1"
    assert struck(report).time_ns <= closed.time_ns <= end.time_ns
    # On a busy machine the end of a process takes its time; that of what it does not.
    assert (end if world == "simulated" else struck(report)).time_ns < last.time_ns


@pytest.mark.parametrize("world", ["simulated", "threads"])
def test_a_program_that_leaves_runs_what_it_has_in_finally(world: str) -> None:
    said = []

    def polite(context: Context, endpoint: str, handle: Handle) -> None:
        try:
            rep_server(context, endpoint, handle)
        except zmq.ContextTerminated:
            said.append("told")
            raise
        finally:
            said.append("farewell")

    pattern = reqrep.pattern("req-rep").with_roles(server=polite)
    workload = Workload(2, ClosedLoop(think_time_s=0.05), timeout_s=0.1)
    plan = (Leave("server-0", at=0.02),)
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), workload, faults=plan), world, "tcp")
    assert report.holds, str(report)
    assert said == ["told", "farewell"]


@pytest.mark.parametrize(("kind", "arrived"), [(Leave, 4), (Crash, 1)])
def test_what_a_node_has_sent_lingers_when_it_leaves_and_not_when_it_dies(
    kind: type[Leave | Crash], arrived: int
) -> None:
    pattern = reqrep.pattern("dealer-router").with_roles(server=server_that_waits_for_room)
    workload = Workload(4, ClosedLoop(window=4), Sized(120_000), timeout_s=1)
    held = Hold(node="server-0", direction="out", lasts=0.2)
    scenario = Scenario(pattern, Fleet(1, 1), workload, faults=(held, kind("server-0", at=0.1)))
    assert reqrep.run(scenario, "simulated").statistics.ok == arrived


@pytest.mark.parametrize(("world", "transport"), [("simulated", "tcp"), ("processes", "ipc")])
def test_a_client_that_leaves_asks_no_more(world: str, transport: str) -> None:
    plan = (Leave("client-0", at=0.05),)
    workload = UNHURRIED.replace(requests=24, timeout_s=0.5)
    scenario = Scenario(reqrep.pattern("req-rep"), Fleet(2, 1), workload, faults=plan)
    report = reqrep.run(scenario, world, transport)
    assert report.holds, str(report)
    asked = report.history.of("invoke", node="client-0")
    assert len(asked) < 12
    (end,) = report.history.of("end", node="client-0")
    assert struck(report).time_ns <= end.time_ns < report.history.of("ok")[-1].time_ns
    assert len(report.history.of("ok", node="client-1")) == 12


def test_in_threads_no_client_leaves_since_clients_share_a_context() -> None:
    scenario = Scenario(reqrep.pattern("req-rep"), faults=(Leave("client-0"),))
    with pytest.raises(MisuseError, match=r"clients share one context.* use the world processes"):
        reqrep.run(scenario, "threads", "tcp")
    with pytest.raises(MisuseError, match=r"cannot do 'leave'.*Over tcp and ipc it can"):
        reqrep.run(scenario.replace(faults=(Leave("server-0"),)), "threads", "inproc")


@pytest.mark.parametrize(("world", "transport"), [("simulated", "tcp"), ("processes", "ipc")])
def test_a_node_may_come_again_under_another_name_and_the_history_has_the_one_it_had(
    world: str, transport: str
) -> None:
    pattern = dataclasses.replace(
        reqrep.pattern("req-rep").with_roles(client=Reopening, server=server_that_tells_its_name),
        promises=(Promise("robustness", LOSING), Promise("shutdown", LOSING)),
    )
    # The second restart leaves the name as it is.
    plan = (
        Restart("server-0", 0, renamed=True, at=Upon("taken", count=3)),
        Restart("server-0", 0, at=Upon("taken", count=6)),
    )
    scenario = Scenario(pattern, Fleet(1, 1), UNHURRIED, faults=plan)
    report = reqrep.run(scenario, world, transport)
    assert report.holds, str(report)
    told = [event.frames[-1] for event in report.history.of("ok")]
    assert set(told[:2]) == {b"server-0"}
    assert set(told[2:]) == {b"server-0-again"}
    assert [strike.event is not None for strike in report.strikes] == [True, True]
    assert {event.node for event in report.history.of("execute")} == {"server-0"}


def test_it_is_the_new_name_that_a_broker_does_not_survive() -> None:
    fault = RENAMED.fault
    assert isinstance(fault, Restart)
    assert RENAMED.run(RENAMED.wrong, fault.replace(renamed=False)).holds
    assert not RENAMED.run(RENAMED.wrong, fault).holds


def marks(*faults: Fault, world: str, transport: str) -> set[bytes]:
    """What `server_that_tells_its_marks` says in a run."""
    pattern = reqrep.pattern("req-rep").with_roles(server=server_that_tells_its_marks)
    scenario = Scenario(pattern, Fleet(1, 1), UNHURRIED, faults=faults)
    report = reqrep.run(scenario, world, transport)
    return {event.frames[-1] for event in report.history.of("ok")}


@pytest.mark.parametrize(
    ("world", "transport"),
    [
        ("simulated", "tcp"),
        ("simulated", "inproc"),
        ("threads", "inproc"),
        ("threads", "tcp"),
        ("processes", "ipc"),
    ],
)
def test_under_pressure_no_high_water_mark_is_greater_and_a_program_sees_what_is_in_force(
    world: str, transport: str
) -> None:
    assert marks(Pressure(2), world=world, transport=transport) == {b"2 2, 2 2 1, 4"}


def test_pressure_on_one_node_is_none_on_another_and_is_there_again_after_a_restart() -> None:
    away = Pressure(1, "client-0"), Pressure(3, "client-0")
    assert marks(*away, world="simulated", transport="tcp") == {b"1000 1000, 0 5000 1, 2000"}
    again = Pressure(2, "server-0"), Pressure(3), Restart("server-0", 0, at=0.045)
    assert marks(*again, world="simulated", transport="tcp") == {b"2 2, 2 2 1, 4"}


@pytest.mark.parametrize("name", ["load-balancing", "load-balancing-dealer"])
def test_who_sends_nobody_a_second_message_makes_progress_under_pressure(name: str) -> None:
    report = run(Pressure(1), pattern=name, workload=Workload(60, bodies=Sized(100_000)))
    assert report.holds, str(report)
    assert "progress" in {verdict.property for verdict in report.verdicts}


def test_pressure_has_struck_when_a_socket_is_made_which_is_before_the_load() -> None:
    report = run(Pressure(1, "worker-1"))
    assert struck(report).node == "worker-1"
    assert struck(report).time_ns == report.history.of("socket", node="worker-1")[0].time_ns
    assert struck(report).time_ns < report.history.of("invoke")[0].time_ns


def test_the_wall_clock_of_a_node_jumps_and_comes_back_and_its_monotonic_clock_does_not() -> None:
    walls, monotonics = [], []

    def telling(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        while True:
            walls.append(time.time())
            monotonics.append(time.monotonic())
            socket.send_multipart(handle(socket.recv_multipart()))

    pattern = reqrep.pattern("req-rep").with_roles(server=telling)
    plan = Skew("server-0", -3600, at=0.05, lasts=0.2), Skew("server-0", 60, at=0.1, lasts=0.1)
    scenario = Scenario(pattern, Fleet(1, 1), SLOW, faults=plan)
    reqrep.run(scenario, "simulated")
    jumps = [round(b - a) for a, b in pairwise(walls) if abs(b - a) > 1]
    assert jumps == [-3600, 60, -60, 3600]
    assert all(0 <= b - a < 0.1 for a, b in pairwise(monotonics))


def test_a_clock_is_still_wrong_after_a_restart() -> None:
    walls = []

    def telling(context: Context, endpoint: str, handle: Handle) -> None:
        walls.append(time.time())
        rep_server(context, endpoint, handle)

    pattern = reqrep.pattern("req-rep").with_roles(server=telling)
    plan = Skew("server-0", 3600, at=0.01), Restart("server-0", 0.01, at=0.02)
    scenario = Scenario(pattern, Fleet(1, 1), SLOW, faults=plan)
    reqrep.run(scenario, "simulated")
    assert [round(wall - walls[0]) for wall in walls] == [0, 3600]


def test_the_wait_of_a_client_counts_in_virtual_time() -> None:
    class Patient(ReqClient):
        def call(self, body: Body) -> Body:
            self.socket.send_multipart(body)
            if not self.socket.poll(1000):
                raise TimeoutError
            return self.socket.recv_multipart()

    pattern = reqrep.pattern("req-rep").with_roles(client=Patient)
    fault = Cut("service", at=0)
    scenario = Scenario(pattern, Fleet(1, 1), Workload(1, timeout_s=60), faults=(fault,))
    report = reqrep.run(scenario, "simulated")
    (gave_up,) = report.history.of("info")
    assert gave_up.time_ns - report.history.of("invoke")[0].time_ns == 1000 * MS


# --- what the report says -------------------------------------------------------------


def test_a_fault_that_never_struck_makes_unknown_what_would_hold() -> None:
    report = run(Noop(at=0.001), Noop(at=4))
    assert report.exit_status == 3
    for verdict in report.verdicts:
        assert verdict.outcome == "unknown"
        assert verdict.reason.startswith(
            "not exercised: Noop(at=4.0) never struck in a load of 0.00"
        )
    assert "fault never struck: Noop(at=4.0)" in str(report)
    assert re.search(r"fault struck at 1\.\d+ ms: Noop\(at=0\.001\)", str(report))


def test_a_finding_stays_a_finding_when_another_fault_never_struck() -> None:
    pattern = reqrep.pattern("req-rep")
    pattern = dataclasses.replace(
        pattern, promises=(Promise("progress", frozenset({"crash", "noop"})),)
    )
    plan = Crash("server-0"), Noop(at=Upon("taken", count=1000))
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), faults=plan), "simulated")
    assert report.exit_status == 1


def test_what_strikes_the_dead_has_not_struck() -> None:
    plan = Crash("worker-0", at=Upon("taken", "worker-0")), Stall("worker-0", at=0.3)
    report = run(*plan, workload=SLOW)
    assert [strike.event is not None for strike in report.strikes] == [True, False]


def test_what_is_not_promised_under_a_kind_is_not_judged_and_named() -> None:
    report = run(Cut("backend", at=0.002, lasts=0.1))
    assert "progress" not in {verdict.property for verdict in report.verdicts}
    assert report.not_promised == (
        "not promised under cut: progress, recovery, membership, oldest-ready-first",
    )
    assert report.not_promised[0] in str(report)
    assert report.exit_status == 0


def test_a_plan_under_which_nothing_is_promised_is_no_pass() -> None:
    pattern = dataclasses.replace(reqrep.pattern("broker"), promises=(Promise("progress"),))
    report = reqrep.run(Scenario(pattern, faults=(Reset(at=0.001),)), "simulated")
    assert not report.holds
    assert report.exit_status == 3


def test_the_report_as_data_lists_the_faults() -> None:
    report = run(Reset(at=0.002), Noop(at=Upon("taken", count=1000)))
    data = report_data(report)
    at_ms = struck(report).time_ns / MS
    never = "Noop(at=Upon(point='taken', count=1000))"
    assert data["faults"] == [
        {"kind": "reset", "fault": "Reset(at=0.002)", "struck": True, "struck_at_ms": at_ms},
        {"kind": "noop", "fault": never, "struck": False, "struck_at_ms": None},
    ]
    assert data["not_promised"] == [
        "not promised under reset: progress, recovery, membership, oldest-ready-first"
    ]


def test_faults_stand_in_a_saved_history(tmp_path: Any) -> None:
    scenario = Scenario(reqrep.pattern("broker"), faults=(Noop(at=0.001, lasts=0.001),))
    reqrep.run(scenario, "simulated", history=tmp_path / "history")
    events = History.load(tmp_path / "history").of("fault", "healed")
    assert [event.kind for event in events] == ["fault", "healed"]


# --- the command, the fixture, the world of threads -----------------------------------


def test_faults_are_given_on_the_command_line() -> None:
    arguments = ["run", "broker", "--world", "simulated", "--fault", "noop:at=0.001"]
    arguments += ["--fault", "late:by_s=0.1,nth=3", "--json", "-"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert [entry["kind"] for entry in json.loads(result.output)["faults"]] == ["noop", "late"]


def test_the_table_of_the_command_is_followed_by_what_became_of_the_faults() -> None:
    arguments = ["run", "broker", "--world", "simulated", "--fault", "reset:at=0.001"]
    result = CliRunner().invoke(command, arguments)
    assert re.search(r"fault struck at 1\.\d+ ms: Reset\(at=0\.001\)", result.output)
    assert "not promised under reset: progress" in result.output


def test_a_bad_fault_on_the_command_line_is_wrong_use() -> None:
    result = CliRunner().invoke(command, ["run", "broker", "--fault", "crash:node=worker-9"])
    assert result.exit_code == 2
    assert "there is no node 'worker-9' in 'broker'; did you mean worker-2" in result.output


def test_the_kinds_are_listed_with_an_example_each() -> None:
    result = CliRunner().invoke(command, ["list", "faults"])
    assert result.exit_code == 0
    for kind in reqrep.harness.faults.KINDS.values():
        assert f"--fault {kind.example}" in result.output
    for name, places in (
        ("cut", "over ipc and tcp: simulated, threads; processes"),
        ("stall", "simulated, processes"),
        ("late", "simulated, threads, processes"),
        ("skew", "simulated"),
    ):
        assert re.search(rf"{name}:.* \({places}\)$", result.output, re.M), name


def test_a_promise_is_listed_with_the_faults_that_it_covers() -> None:
    result = CliRunner().invoke(command, ["list", "dealer-router"])
    assert "promises under late, noop, skew: head-of-line" in result.output


def test_the_fixture_takes_faults(run_fleet: Any) -> None:
    report = run_fleet("broker", world="simulated", faults=[Late(0.1, nth=2)])
    assert struck(report).kind == "fault"


def test_threads_do_what_needs_no_power_over_a_thread() -> None:
    plan = (
        Noop(at=Upon("worked", "worker-0", 2)),
        Noop(at=0.02, lasts=0.05),
        Late(0.12, "worker-1", nth=2),
    )
    scenario = Scenario(reqrep.pattern("broker"), Fleet(2, 2), Workload(20), faults=plan)
    report = reqrep.run(scenario, "threads")
    assert report.holds, str(report)
    begun = report.history.of("execute", node="worker-1")
    done = report.history.of("executed", node="worker-1")
    assert done[1].time_ns - begun[1].time_ns >= 120 * MS
    visited = Scenario(reqrep.pattern("broker"), Fleet(2, 2), faults=(Stranger("frontend"),))
    report = reqrep.run(visited, "threads")
    assert report.holds, str(report)
    assert struck(report).node == "broker-0"
    raising = Scenario(
        reqrep.pattern("broker"), faults=(Raises(nth=2),), workload=Workload(4, timeout_s=0.2)
    )
    assert "as planned: Raises(nth=2)" in reqrep.run(raising, "threads").history.of("crash")[0].text


def never_reads(context: Context, endpoint: str, handle: Handle) -> None:
    with context.socket(zmq.ROUTER) as socket, context.socket(zmq.PAIR) as nobody:
        socket.bind(endpoint)
        nobody.recv()  # Until all ends.


@pytest.mark.parametrize("world", ["simulated", "threads"])
def test_a_pipelining_client_that_finds_no_room_is_given_up_after_the_timeout(world: str) -> None:
    pattern = reqrep.pattern("dealer-router").with_roles(server=never_reads)
    workload = Workload(200, ClosedLoop(window=100), Sized(200_000), timeout_s=0.3)
    scenario = Scenario(pattern, Fleet(1, 1), workload, faults=(Pressure(1),))
    report = reqrep.run(scenario, world, "tcp")
    assert report.statistics.ok == 0
    assert 0 < report.statistics.info < 100
    (verdict,) = (verdict for verdict in report.verdicts if verdict.property == "one-outcome")
    assert verdict.outcome == "holds"
