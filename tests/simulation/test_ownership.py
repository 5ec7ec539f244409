"""A socket belongs to one thread at a time."""

from __future__ import annotations

import queue
import threading
from typing import Any

import zmq

import reqrep
from reqrep import Event, Fleet, History, Report, Scenario, Verdict, Workload
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.property import judge
from reqrep.harness.simulated import SimulatedWorld
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient
from reqrep.properties.ownership import OWNERSHIP


def run(**programs: Any) -> tuple[History, Verdict]:
    pattern = reqrep.pattern("req-rep").with_roles(**programs)
    scenario = Scenario(pattern, Fleet(1, 1), Workload(4, timeout_s=2))
    world = SimulatedWorld(scenario, "tcp")
    world.run()
    history = world.recorder.history({})
    (verdict,) = judge([OWNERSHIP], scenario, history)
    return history, verdict


def found(history: History) -> list[Event]:
    return [event for event in history if event.kind == "ownership"]


def verdict_of(report: Report) -> Verdict | None:
    return next((each for each in report.verdicts if each.property == "ownership"), None)


class SharesItsSocket(ReqClient):
    """Two threads ask on one REQ, without a lock."""

    def call(self, body: Body) -> Body:
        thread = threading.Thread(target=self.peek, name="peeker", daemon=True)
        thread.start()
        reply = super().call(body)
        thread.join()
        return reply

    def peek(self) -> None:
        self.socket.get(zmq.EVENTS)


class TearsMessages:
    """A thread sends between two frames of another."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = context.socket(zmq.DEALER)
        for endpoint in endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body | None:
        self.socket.send(b"", zmq.SNDMORE)
        thread = threading.Thread(target=self.socket.send, args=(body[0],), name="second")
        thread.start()
        thread.join()
        return self.socket.recv_multipart()[1:]

    def close(self) -> None:
        self.socket.close(0)


def hands_its_socket_over(context: Context, endpoint: str, handle: Handle) -> None:
    """A thread gets the socket that another has made, and is alone with it."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    given: queue.Queue[zmq.Socket[bytes]] = queue.Queue()

    def serve() -> None:
        mine = given.get()
        try:
            while True:
                mine.send_multipart(handle(mine.recv_multipart()))
        except zmq.ContextTerminated:
            mine.close(0)

    thread = threading.Thread(target=serve)
    thread.start()
    given.put(socket)
    thread.join()


def test_a_thread_that_calls_while_another_waits_is_named_with_it() -> None:
    history, verdict = run(client=SharesItsSocket)
    assert verdict.outcome == "broken"
    assert "two threads of client-0 use its REQ at once" in verdict.reason
    assert "peeker calls get while client-0 is in: receive on REQ" in verdict.reason
    assert [event.kind for event in verdict.witness] == ["socket", "ownership"]
    assert len(found(history)) == 1  # A pair of threads is told once for each socket.
    assert sum(event.kind == "ok" for event in history) == 4  # And the program goes on.


def test_a_message_that_two_threads_send_is_found() -> None:
    _, verdict = run(client=TearsMessages)
    assert "second calls send while client-0 is in: a message" in verdict.reason


def test_a_socket_may_change_hands() -> None:
    history, verdict = run(server=hands_its_socket_over)
    assert found(history) == []
    assert verdict.outcome == "holds"
    assert verdict.facts > 0


def test_every_pattern_promises_it_where_it_can_be_told() -> None:
    for name in pattern_names():
        report = reqrep.run(Scenario(reqrep.pattern(name)), "simulated")
        verdict = verdict_of(report)
        assert verdict is not None, name
        assert verdict.outcome == "holds", str(report)
        assert verdict.facts > 0
        assert found(report.history) == []


def test_a_program_that_shares_its_socket_breaks_the_promise_of_its_pattern() -> None:
    pattern = reqrep.pattern("req-rep").with_roles(client=SharesItsSocket)
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(4)), "simulated")
    assert report.exit_status == 1
    assert [verdict.property for verdict in report.of("broken")] == ["ownership"]


def test_real_sockets_do_not_tell_so_it_is_not_judged_there() -> None:
    assert verdict_of(reqrep.run("req-rep", "threads")) is None
