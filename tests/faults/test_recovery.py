"""Fresh requests after faults: who makes them, and what they show."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import (
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Fault,
    Fleet,
    Hold,
    Late,
    Pressure,
    Promise,
    Report,
    Scenario,
    Stranger,
    Upon,
    Verdict,
    Workload,
)
from reqrep.harness.faults import KINDS
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient
from tests.steadily import steadily


class GivesUp(ReqClient):
    """Gives its first fresh request up, for no reason that anybody knows."""

    def call(self, body: Body) -> Body:
        reply = super().call(body)
        if reply[0].startswith((b"@c0.6 ", b"@c1.0 ")):
            raise TimeoutError
        return reply


SIX = Workload(6, ClosedLoop(think_time_s=0.01), timeout_s=0.5)
HELD = Hold("service", at=0.005, lasts=0.3)


def server(may_ask: Callable[[Counter[bytes], bytes], bool]) -> Callable[..., None]:
    """A server that counts what it has answered to whom, and does not answer everybody."""

    def answer(context: Context, endpoint: str, handle: Handle) -> None:
        answered: Counter[bytes] = Counter()
        with context.socket(zmq.ROUTER) as socket:
            socket.bind(endpoint)
            while True:
                client, empty, *body = socket.recv_multipart()
                if may_ask(answered, client):
                    socket.send_multipart([client, empty, *handle(body)])
                    answered[client] += 1

    return answer


def the_first_two(answered: Counter[bytes], client: bytes) -> bool:
    return client in answered or len(answered) < 2


def three_times_each(answered: Counter[bytes], client: bytes) -> bool:
    return answered[client] < 3


def three_times_until_somebody_new_comes(answered: Counter[bytes], client: bytes) -> bool:
    return len(answered) > 2 or answered[client] < 3


def always(answered: Counter[bytes], client: bytes) -> bool:
    return True


def run(
    *faults: Fault,
    pattern: str = "dealer-router",
    world: str = "simulated",
    transport: str = "tcp",
    clients: int = 2,
    workload: Workload = SIX,
    **programs: Any,
) -> Report:
    subject = dataclasses.replace(
        reqrep.pattern(pattern).with_roles(**programs),
        promises=(Promise("recovery", frozenset(KINDS)),),
    )
    return reqrep.run(Scenario(subject, Fleet(clients, 1), workload, 0, faults), world, transport)


def recovery(report: Report) -> Verdict:
    (verdict,) = (verdict for verdict in report.verdicts if verdict.property == "recovery")
    return verdict


def fresh(report: Report) -> list[str]:
    return [op for op in report.history.ops if report.scenario.is_fresh(op)]


REAL = [("simulated", "tcp"), ("threads", "tcp")]


@pytest.mark.parametrize(("world", "transport"), REAL)
@pytest.mark.parametrize(
    ("may_ask", "connection"),
    [(the_first_two, "a new connection"), (three_times_each, "an old connection")],
)
def test_a_server_that_never_answers_somebody_again_has_not_recovered(
    may_ask: Any, connection: str, world: str, transport: str
) -> None:
    verdict = recovery(run(HELD, world=world, transport=transport, server=server(may_ask)))
    assert verdict.outcome == "broken"
    assert f"asked on {connection} after all faults were healed" in verdict.reason
    assert [event.kind for event in verdict.witness] == ["invoke", "recv"]


@pytest.mark.parametrize(("world", "transport"), REAL)
def test_a_newcomer_wakes_nobody_who_would_sleep_on(world: str, transport: str) -> None:
    sleeper = server(three_times_until_somebody_new_comes)
    verdict = recovery(run(HELD, world=world, transport=transport, server=sleeper))
    assert "asked on an old connection after all faults were healed" in verdict.reason


@pytest.mark.parametrize(("world", "transport"), [*REAL, ("processes", "ipc")])
def test_who_has_recovered_answers_on_old_connections_and_on_a_new_one(
    world: str, transport: str
) -> None:
    report = run(HELD, world=world, transport=transport)
    assert recovery(report).outcome == "holds", str(report)
    assert sorted(fresh(report)) == ["c0.3", "c1.3", "c2.0"]
    assert recovery(report).facts == 3
    assert "on an old connection within" in recovery(report).reason
    assert "on a new connection within" in recovery(report).reason


def test_the_same_server_without_a_fault_is_not_asked_afresh() -> None:
    report = run(server=server(the_first_two))
    assert not fresh(report)
    assert not report.verdicts


def test_a_server_that_answers_whoever_asks_recovers() -> None:
    assert recovery(run(HELD, server=server(always))).outcome == "holds"


def test_where_nobody_judges_recovery_nobody_asks_afresh() -> None:
    scenario = Scenario(reqrep.pattern("load-balancing"), faults=(Crash("worker-0", at=0.001),))
    report = reqrep.run(scenario)
    assert "recovery" in "".join(report.not_promised)
    assert not fresh(report)


def test_a_client_that_gives_up_in_time_asks_until_it_is_answered() -> None:
    report = run(Late(0.01), pattern="req-rep", clients=1, client=GivesUp)
    assert sorted(fresh(report)) == ["c0.6", "c0.7", "c1.0", "c1.1"]
    assert recovery(report).outcome == "holds"


def test_fresh_requests_come_when_the_load_is_over_and_all_is_healed() -> None:
    report = run(HELD)
    first = report.history.ops[fresh(report)[0]].invoke.time_ns
    assert first >= report.history.of("healed")[-1].time_ns
    assert all(
        op.outcomes[0].time_ns <= first
        for op in report.history.ops.values()
        if not report.scenario.is_fresh(op.id)
    )


def test_fresh_requests_are_no_part_of_the_load() -> None:
    figures = run(HELD).statistics
    assert figures.ok == 6
    assert {(count.sent, count.received) for count in figures.messages.values()} == {(6, 6)}


def test_what_is_wrong_from_the_start_is_wrong_for_a_newcomer_too() -> None:
    marks = []

    class TellsItsMark(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            super().__init__(context, endpoints)
            marks.append(self.socket.get(zmq.SNDHWM))

    run(Pressure(1), pattern="req-rep", client=TellsItsMark)
    assert marks == [1, 1, 1]


def test_a_client_that_is_stuck_makes_none_and_a_newcomer_does() -> None:
    lost = Cut("service", at=Upon("arriving"), lasts=0.05)
    report = run(lost, pattern="req-rep", clients=1)
    assert report.statistics.info == 1
    assert fresh(report) == ["c1.0"]


def test_the_dead_make_none() -> None:
    report = run(Crash("client-0", at=0.015))
    assert fresh(report) == ["c1.3", "c2.0"]


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("custom-router-table", ["c2.0"]),  # The newcomer finds no partner.
        ("custom-router-chosen", ["c0.3"]),
    ],
)
def test_only_who_is_answered_itself_asks_afresh(pattern: str, asked: list[str]) -> None:
    report = run(Late(0.01), pattern=pattern)
    assert fresh(report) == asked


@pytest.mark.parametrize(("world", "transport"), REAL)
def test_who_comes_back_under_its_name_while_the_server_works_is_never_heard_again(
    world: str, transport: str
) -> None:
    """Found by a search of our own pattern, which therefore does not promise it."""
    report = steadily(
        lambda: run(
            Cut(at=Upon("taken"), lasts=0.05),
            pattern="custom-router-table",
            world=world,
            transport=transport,
            clients=1,
            workload=Workload(1, service=(Constant(0.4),), timeout_s=0.6),
        )
    )
    assert recovery(report).outcome == "broken", str(report)
    assert "asked on an old connection" in recovery(report).reason


def test_what_strangers_leave_behind_keeps_nobody_waiting() -> None:
    """Found by a search: their messages, each with a second of work, lay before a newcomer's."""
    plan = (Stranger("frontend"), Stranger("frontend"))
    slow = Workload(2, service=(Constant(1.0),), timeout_s=2)
    report = run(*plan, pattern="broker", workload=slow)
    assert recovery(report).outcome == "holds", str(report)
    assert recovery(report).facts == 3
