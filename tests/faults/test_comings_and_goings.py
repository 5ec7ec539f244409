"""Nodes that leave, and that come again under another name."""

from __future__ import annotations

import dataclasses

import pytest
import zmq

import reqrep
from reqrep import (
    ClosedLoop,
    Crash,
    Fleet,
    Hold,
    Leave,
    MisuseError,
    Promise,
    Restart,
    Scenario,
    Sized,
    Upon,
    Workload,
)
from reqrep.patterns.common import LOSING, Context, Handle
from reqrep.patterns.req_rep import rep_server

from .planted import RENAMED, UNHURRIED
from .programs import (
    Reopening,
    broker_that_takes_leave_of_the_dead,
    server_that_tells_its_name,
    server_that_waits_for_room,
)
from .runs import LEISURELY, struck


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
    plan = (Leave("worker-0", at=0.12),)
    scenario = Scenario(pattern, Fleet(1, 2), LEISURELY, faults=plan)
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
    plan = (Leave("client-0", at=0.12),)
    workload = LEISURELY.replace(requests=24, timeout_s=0.5)
    scenario = Scenario(reqrep.pattern("req-rep"), Fleet(2, 1), workload, faults=plan)
    report = reqrep.run(scenario, world, transport)
    assert report.holds, str(report)
    asked = report.history.of("invoke", node="client-0")
    assert len(asked) < 12
    (end,) = report.history.of("end", node="client-0")
    assert struck(report).time_ns <= end.time_ns
    assert asked[-1].time_ns < report.history.of("ok")[-1].time_ns
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
    renamed = report.history.of("fault")[0].time_ns
    again = report.history.of("healed")[0].time_ns
    told = [(event.time_ns, event.frames[-1]) for event in report.history.of("ok")]
    assert {name for time_ns, name in told if time_ns < renamed} == {b"server-0"}
    assert {name for time_ns, name in told if time_ns > again} == {b"server-0-again"}
    assert [strike.event is not None for strike in report.strikes] == [True, True]
    assert {event.node for event in report.history.of("execute")} == {"server-0"}


def test_it_is_the_new_name_that_a_broker_does_not_survive() -> None:
    fault = RENAMED.fault
    assert isinstance(fault, Restart)
    assert RENAMED.run(RENAMED.wrong, fault.replace(renamed=False)).holds
    assert not RENAMED.run(RENAMED.wrong, fault).holds
