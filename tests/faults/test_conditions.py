"""Nodes that are under pressure, whose clocks are wrong, or whom nobody reads from."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import zmq

import reqrep
from reqrep import (
    ClosedLoop,
    Cut,
    Fault,
    Fleet,
    Late,
    Noop,
    Pressure,
    Raises,
    Restart,
    Scenario,
    Sized,
    Skew,
    Stranger,
    Upon,
    Workload,
)
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient, rep_server

from .planted import UNHURRIED
from .programs import server_that_tells_its_marks
from .runs import MS, SLOW, run, struck


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
