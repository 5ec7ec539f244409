"""The simulated world: the same programs, in one thread, under virtual time, the same every time."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import Constant, Fleet, MisuseError, NodeFailed, OpenLoop, Scenario, Workload
from reqrep.harness import simulated
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.run import first_difference
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient
from tests.planted.test_defects import DEFECTS, Planted


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted.name)
def test_a_planted_defect_is_caught_as_on_real_sockets(planted: Planted) -> None:
    report = reqrep.run(planted.scenario(planted.programs), "simulated")
    verdicts = {verdict.property: verdict for verdict in report.verdicts}
    assert verdicts[planted.broken].outcome == "broken", str(report)
    assert planted.says in verdicts[planted.broken].reason


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted.name)
def test_the_correct_program_is_not_flagged(planted: Planted) -> None:
    report = reqrep.run(planted.scenario(planted.correct), "simulated")
    assert report.holds, str(report)


@pytest.mark.parametrize("name", pattern_names())
def test_running_twice_gives_the_same_history(name: str) -> None:
    assert first_difference(name) is None


def test_a_second_of_service_takes_no_time() -> None:
    workload = Workload(10, service=(Constant(60.0),), timeout_s=1000)
    begun = time.monotonic()
    report = reqrep.run(Scenario(reqrep.pattern("req-rep"), Fleet(1, 1), workload), "simulated")
    assert report.holds, str(report)
    assert report.simulated is not None
    assert report.simulated.virtual_seconds > 600
    assert time.monotonic() - begun < 5


def test_planned_requests_are_due_from_the_beginning_of_the_load() -> None:
    workload = Workload(8, OpenLoop(1000))
    history = reqrep.run(
        Scenario(reqrep.pattern("load-balancing"), Fleet(4, 3), workload), "simulated"
    ).history
    connected = [event.time_ns for event in history if event.kind == "connected"]
    planned = sorted(event.number for event in history if event.kind == "invoke")
    assert max(connected) <= planned[0]
    assert [time_ns - planned[0] for time_ns in planned] == [n * 1_000_000 for n in range(8)]


def test_what_a_run_leaves_is_freed_without_a_collector() -> None:
    left: list[weakref.ref[Any]] = []

    class Leaves(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            super().__init__(context, endpoints)
            left.extend(map(weakref.ref, (self, context, self.socket, zmq.Context.instance())))

    gc.collect()
    gc.disable()
    try:
        pattern = reqrep.pattern("load-balancing").with_roles(client=Leaves)
        report = reqrep.run(Scenario(pattern, Fleet(2, 2), Workload(4)), "simulated")
        assert report.holds, str(report)
        assert len(left) == 8
        assert [ref() for ref in left if ref() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("world", ["simulated", "threads"])
def test_a_send_of_a_class_of_the_programs_own_is_called_for_each_frame(world: str) -> None:
    sent: list[Any] = []

    class Counted(zmq.Socket[Any]):
        def send(self, data: Any, *args: Any, **keywords: Any) -> Any:
            sent.append(data)
            return super().send(data, *args, **keywords)

    class Counts(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            self.socket = Counted(context, zmq.REQ)
            for endpoint in endpoints:
                self.socket.connect(endpoint)

    pattern = reqrep.pattern("req-rep").with_roles(client=Counts)
    workload = Workload(3, bodies=reqrep.Sized(frames=2))
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), workload), world)
    assert report.holds, str(report)
    assert len(sent) == 6


# --- programs that do not do their part -----------------------------------------


class WaitsForNobody(ReqClient):
    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, [])


def test_a_deadlock_ends_at_once_in_a_verdict() -> None:
    pattern = reqrep.pattern("req-rep").with_roles(client=WaitsForNobody)
    begun = time.monotonic()
    report = reqrep.run(Scenario(pattern, Fleet(2, 1), Workload(4, timeout_s=3600)), "simulated")
    assert time.monotonic() - begun < 5
    assert report.exit_status == 1
    assert report.statistics.info == 2
    (waits,) = {event.text for event in report.history.of("info", node="client-0")}
    assert waits == (
        "open when the run ended: client-0 waits: send on REQ 1 of client-0, which has no peer"
    )


def test_a_program_that_never_waits_is_stopped_and_named() -> None:
    def spins(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        while True:
            pass_the_time()

    def pass_the_time() -> None:
        time.sleep(0)

    pattern = reqrep.pattern("req-rep").with_roles(server=spins)
    with pytest.raises(NodeFailed, match="server-0 calls again and again") as caught:
        reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(1, timeout_s=0.05)), "simulated")
    assert "pass_the_time" in str(caught.value)


def test_a_program_that_computes_without_end_is_stopped_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def computes(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        socket.recv()
        solve(socket)

    def solve(socket: Any) -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass
            finally:
                closed.append(socket.closed)

    closed: list[bool] = []
    monkeypatch.setattr(simulated, "TURN_CPU_S", 0.1)
    handler = signal.getsignal(signal.SIGVTALRM)
    pattern = reqrep.pattern("req-rep").with_roles(server=computes)
    with pytest.raises(NodeFailed, match="server-0 computes without end") as caught:
        reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(1)), "simulated")
    assert "in solve" in str(caught.value)
    assert closed == [False]  # It was unwound while its socket was open.
    assert signal.getsignal(signal.SIGVTALRM) is handler
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_a_node_that_raises_is_found_as_on_real_sockets() -> None:
    def raises(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        socket.recv()
        raise KeyError("enough")

    pattern = reqrep.pattern("req-rep").with_roles(server=raises)
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(2)), "simulated")
    assert "server-0 raised KeyError" in report.of("broken")[-1].reason or any(
        "KeyError" in verdict.reason for verdict in report.of("broken")
    )


def test_what_would_block_the_one_thread_is_refused_by_name() -> None:
    def opens_a_socket(context: Context, endpoint: str, handle: Handle) -> None:
        import socket

        socket.socket()

    pattern = reqrep.pattern("req-rep").with_roles(server=opens_a_socket)
    with pytest.raises((MisuseError, NodeFailed), match=r"socket\.socket\(\)"):
        reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(1)), "simulated")


# --- the real world beside it ---------------------------------------------------


def test_real_sockets_go_on_beside_a_simulation_and_nothing_is_left() -> None:
    context: zmq.Context[Any] = zmq.Context()
    one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    one.bind("inproc://beside")
    other.connect("inproc://beside")
    before = threading.active_count(), time.sleep, zmq.Socket.__bases__

    class Beside(ReqClient):
        def call(self, body: Body) -> Body:
            other.send(b"real")
            assert one.recv() == b"real"
            return super().call(body)

    pattern = reqrep.pattern("req-rep").with_roles(client=Beside)
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(3)), "simulated")
    assert report.holds, str(report)
    assert (threading.active_count(), time.sleep, zmq.Socket.__bases__) == before
    context.destroy(linger=0)


def test_a_stranger_uses_the_fixture_in_the_simulated_world(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(run_fleet):
            report = run_fleet("load-balancing", requests=20)
            assert report.world == "simulated"
            assert report.simulated.digest
        """
    )
    pytester.runpytest("--reqrep-world=simulated").assert_outcomes(passed=1)


def test_inproc_is_inproc_and_not_a_network() -> None:
    """Over inproc there is nothing between two pipes: no handshake, and their limits add up."""
    history = reqrep.run(Scenario(reqrep.pattern("req-rep")), "simulated", "inproc").history
    bound = {event.text.partition(":")[0] for event in history.of("bind")}
    assert bound == {"inproc"}


def test_a_pace_slower_than_the_timeout_gives_nothing_up() -> None:
    """What was never asked is not given up, and the op that comes late is awaited."""
    workload = Workload(requests=3, arrival=OpenLoop(rate_per_s=0.5), timeout_s=1)
    scenario = Scenario(reqrep.pattern("dealer-router"), Fleet(1, 1), workload)
    report = reqrep.run(scenario, "simulated")
    assert [op.outcome for op in report.history.ops.values()] == ["ok", "ok", "ok"]


def interrupted_server(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    socket.recv()
    signal.raise_signal(signal.SIGINT)
    while True:
        socket.send(b"")
        socket.recv()


def test_ctrl_c_while_a_node_has_its_turn_ends_the_run_and_not_the_node() -> None:
    scenario = Scenario(reqrep.pattern("req-rep").with_roles(server=interrupted_server))
    with pytest.raises(KeyboardInterrupt):
        reqrep.run(scenario, "simulated")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
