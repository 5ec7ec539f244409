"""What each kind of fault does to nodes and links."""

from __future__ import annotations

import pytest
import zmq

import reqrep
from reqrep import (
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Fleet,
    Hold,
    Late,
    Partition,
    Raises,
    Report,
    Reset,
    Restart,
    Scenario,
    Stall,
    Stranger,
    Upon,
    Workload,
)
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.faults.stranger import GOOD
from reqrep.patterns.common import Context, Handle
from tests.simulation.programs import asyncio_server

from .programs import AsksAround
from .runs import MS, SLOW, healed, run, struck


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


def test_what_was_held_until_shortly_before_its_time_out_is_no_reason_to_stop() -> None:
    slow = Workload(40, service=(Constant(0.2),), timeout_s=2)
    report = run(
        Hold("service", at=0, lasts=1.9), pattern="req-rep", fleet=Fleet(1, 1), workload=slow
    )
    assert report.statistics.ok == 40
    assert report.holds, str(report)


def test_a_fleet_that_stands_still_as_a_whole_for_a_while_goes_on_by_itself() -> None:
    plan = Stall("client-0", at=0.05, lasts=1), Hold("service", at=0.5, lasts=0.2)
    report = run(*plan, pattern="req-rep", fleet=Fleet(1, 1), workload=SLOW)
    assert healed_after_s(report, 0) == pytest.approx(1, abs=0.001)
    assert struck(report, 1).time_ns > struck(report).time_ns
    assert report.holds, str(report)


def healed_after_s(report: Report, number: int) -> float:
    (healed,) = (event for event in report.history.of("healed") if event.number == number)
    return (healed.time_ns - struck(report, number).time_ns) / 1e9


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
