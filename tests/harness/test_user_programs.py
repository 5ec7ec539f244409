"""Programs as users write them, in both worlds where they can run: all are correct, none is flagged."""

from __future__ import annotations

import asyncio
import sys
import threading
from functools import partial
from itertools import accumulate
from typing import Any

import pytest
import zmq
import zmq.asyncio
import zmq.devices

import reqrep
from reqrep import ClosedLoop, Constant, Fleet, MisuseError, OpenLoop, Scenario, Sized, Workload
from reqrep.harness.drive import OPEN_AT_MOST
from reqrep.harness.faults import Stall
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.dealer_router import DealerClient
from reqrep.patterns.req_rep import ReqClient

from .test_threads import _wait_for_threads

MODULE_CONTEXT: Context = zmq.Context()

run = partial(reqrep.run, world="threads")


async def _serve(context: Any, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        await socket.send_multipart(handle(await socket.recv_multipart()))


def asyncio_server(context: Context, endpoint: str, handle: Handle) -> None:
    asyncio.run(_serve(zmq.asyncio.Context(), endpoint, handle))


def asyncio_server_on_the_instance(context: Context, endpoint: str, handle: Handle) -> None:
    asyncio.run(_serve(zmq.asyncio.Context.instance(), endpoint, handle))


def server_with_a_context_of_the_module(context: Context, endpoint: str, handle: Handle) -> None:
    socket: zmq.Socket[bytes] = MODULE_CONTEXT.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        socket.send_multipart(handle(socket.recv_multipart()))


def threaded_server(context: Context, endpoint: str, handle: Handle) -> None:
    """The guide's mtserver: its threads ask for a context of their own."""

    def work() -> None:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        socket.connect("inproc://workers")
        try:
            while True:
                socket.send_multipart(handle(socket.recv_multipart()))
        except zmq.ContextTerminated:
            socket.close()

    front: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    front.bind(endpoint)
    back: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    back.bind("inproc://workers")
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    zmq.proxy(front, back)


def server_that_exits(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    try:
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))
    except zmq.ContextTerminated:
        sys.exit(0)


def server_that_translates_errors(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    try:
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))
    except zmq.ZMQError as error:
        raise ConnectionError("gone") from error


def server_that_polls_and_swallows(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    while True:
        try:
            if poller.poll(50):
                socket.send_multipart(handle(socket.recv_multipart()))
        except Exception:
            continue


def server_that_watches_itself(context: Context, endpoint: str, handle: Handle) -> None:
    from zmq.utils.monitor import recv_monitor_message

    socket = context.socket(zmq.REP)
    monitor = socket.get_monitor_socket()
    socket.bind(endpoint)
    assert recv_monitor_message(monitor)["event"] == zmq.EVENT_LISTENING
    while True:
        socket.send_multipart(handle(socket.recv_multipart()))


SERVERS = (
    asyncio_server,
    asyncio_server_on_the_instance,
    server_with_a_context_of_the_module,
    threaded_server,
    server_that_exits,
    server_that_translates_errors,
    server_that_polls_and_swallows,
    server_that_watches_itself,
)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_a_correct_server_is_not_flagged(server: Any, transport: str) -> None:
    if server is server_that_watches_itself and transport == "inproc":
        transport = "tcp"  # inproc has no events to watch.
    pattern = reqrep.pattern("req-rep").with_roles(server=server)
    scenario = Scenario(pattern, Fleet(2, 2), Workload(20, timeout_s=2))
    report = run(scenario, transport=transport)
    assert report.holds, str(report)
    _wait_for_threads()


def test_a_thread_device_as_broker_is_not_flagged() -> None:
    def device_broker(context: Context, frontend: str, backend: str) -> None:
        device = zmq.devices.ThreadDevice(zmq.QUEUE, zmq.ROUTER, zmq.DEALER)
        device.bind_in(frontend)
        device.bind_out(backend)
        device.start()
        device.join()

    pattern = reqrep.pattern("broker").with_roles(broker=device_broker)
    report = run(Scenario(pattern, workload=Workload(20)), transport="tcp")
    assert report.holds, str(report)


class PiratingClient(ReqClient):
    """A Lazy Pirate: gives up, opens a new socket, asks again."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        self._context, self._endpoints = context, endpoints
        super().__init__(context, endpoints)

    def call(self, body: Body) -> Body:
        for _ in range(20):
            self.socket.send_multipart(body)
            if self.socket.poll(60):
                return self.socket.recv_multipart()
            self.socket.close(linger=0)
            super().__init__(self._context, self._endpoints)
        raise TimeoutError


@pytest.mark.parametrize("name", ["broker", "broker-proxy"])
def test_retries_through_a_broker_are_not_taken_for_replies(name: str) -> None:
    pattern = reqrep.pattern(name).with_roles(client=PiratingClient)
    workload = Workload(4, service=(Constant(0.08),), timeout_s=3)
    report = run(Scenario(pattern, Fleet(2, 2), workload), transport="tcp")
    verdicts = {verdict.property: verdict for verdict in report.verdicts}
    assert verdicts["reply-identity"].outcome == "holds", str(report)
    assert verdicts["envelope"].outcome == "holds", str(report)
    # Retries execute twice by design; a pattern that retries does not promise exactly once.
    assert verdicts["exactly-once"].outcome == "broken"


@pytest.mark.parametrize(
    ("name", "arrival"),
    [
        ("broker-dealer", OpenLoop(rate_per_s=1e6)),
        ("dealer-router", reqrep.Bursts(size=5000, pause_s=1)),
        ("custom-router-queue", ClosedLoop(window=3000)),
    ],
)
def test_a_flood_loses_no_replies_by_the_fault_of_its_driver(name: str, arrival: Any) -> None:
    workload = Workload(5000, arrival=arrival, timeout_s=20)
    report = run(Scenario(reqrep.pattern(name), Fleet(1, 2), workload))
    # How long a request lies unread in a flood, on a machine that stands still, is another matter.
    broken = [verdict for verdict in report.of("broken") if verdict.property != "head-of-line"]
    assert not broken, str(report)
    assert report.statistics.ok == 5000


def test_a_client_that_stands_still_in_a_flood_loses_no_replies() -> None:
    bursts, work = reqrep.Bursts(size=3000), Constant(0.001)
    workload = Workload(6000, arrival=bursts, service=(work,), timeout_s=20)
    stall = Stall("client-0", at=0.01, lasts=5)
    scenario = Scenario(reqrep.pattern("dealer-router"), Fleet(2, 1), workload, faults=(stall,))
    report = reqrep.run(scenario, "simulated", "inproc")
    assert report.statistics.ok == 6000, str(report)
    steps = [{"invoke": 1, "ok": -1}.get(event.kind, 0) for event in report.history]
    assert max(accumulate(steps)) == 2 * OPEN_AT_MOST


class StuckSender(DealerClient):
    """Its send blocks: nobody takes what it sends."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        super().__init__(context, endpoints)
        self._stuck = context.socket(zmq.DEALER)

    def send(self, body: Body) -> None:
        self._stuck.send_multipart(body)

    def close(self) -> None:
        self._stuck.close(linger=0)
        super().close()


def test_a_client_that_blocks_in_send_is_ended_after_the_timeout() -> None:
    pattern = reqrep.pattern("dealer-router").with_roles(client=StuckSender)
    report = run(Scenario(pattern, Fleet(1), Workload(3, timeout_s=0.3)))
    assert report.statistics.info == 1
    assert report.exit_status == 1


class ListensElsewhereToo(DealerClient):
    """Has a side channel, whose messages are not replies."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        super().__init__(context, endpoints)
        self._news = context.socket(zmq.PAIR)
        self._news.bind("inproc://news")
        self._publisher = context.socket(zmq.PAIR)
        self._publisher.connect("inproc://news")
        self._publisher.send(b"news")

    def close(self) -> None:
        for socket in (self._news, self._publisher):
            socket.close(linger=0)
        super().close()


def test_a_side_channel_does_not_wake_a_client_for_a_reply() -> None:
    pattern = reqrep.pattern("dealer-router").with_roles(client=ListensElsewhereToo)
    report = run(Scenario(pattern, Fleet(2), Workload(20, arrival=ClosedLoop(2))))
    assert report.holds, str(report)


def server_with_careless_threads(context: Context, endpoint: str, handle: Handle) -> None:
    """One works when the run ends, one waits for a message that never comes."""
    reading = threading.Thread(target=_read_nothing, args=(context,))
    working = threading.Thread(target=handle, args=([b"work"],))
    reading.start()
    working.start()
    server_that_exits(context, endpoint, lambda body: body)


def _read_nothing(context: Context) -> None:
    with context.socket(zmq.PULL) as socket:
        socket.bind("inproc://nothing")
        socket.recv()


@pytest.mark.parametrize("world", ["threads", "simulated"])
def test_threads_that_the_end_of_a_run_ends_print_no_tracebacks(
    world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    pattern = reqrep.pattern("req-rep").with_roles(server=server_with_careless_threads)
    workload = Workload(3, service=(Constant(60),))
    reqrep.run(Scenario(pattern, Fleet(1, 1), workload), world)
    _wait_for_threads()
    assert [str(hook.exc_type) for hook in printed] == []


class AnswersBytes(ReqClient):
    def call(self, body: Body) -> Body:
        reply: Any = super().call(body)[0]
        return reply  # type: ignore[no-any-return]


def test_a_client_that_returns_no_body_is_told_so() -> None:
    pattern = reqrep.pattern("req-rep").with_roles(client=AnswersBytes)
    with pytest.raises(MisuseError, match=r"call\(\) of the client AnswersBytes returned b'@c0.0"):
        run(Scenario(pattern, Fleet(1, 1), Workload(2)))


def test_a_service_longer_than_its_clients_patience_does_not_hold_up_the_end() -> None:
    class Impatient(ReqClient):
        def __init__(self, context: Context, endpoints: str | list[str]) -> None:
            super().__init__(context, endpoints)
            self.socket.rcvtimeo = 50

    pattern = reqrep.pattern("req-rep").with_roles(client=Impatient)
    workload = Workload(1, service=(Constant(30.0),))
    report = run(Scenario(pattern, Fleet(1, 1), workload), transport="tcp")
    assert report.history.of("stuck", "left", "crash") == []


def test_large_bodies_are_saved_by_their_digest(tmp_path: Any) -> None:
    workload = Workload(4, bodies=Sized(bytes=1_000_000))
    path = tmp_path / "history"
    report = run(
        Scenario(reqrep.pattern("req-rep"), workload=workload), transport="tcp", history=path
    )
    assert report.holds, str(report)
    assert path.stat().st_size < 100_000
    assert reqrep.History.load(path).events == report.history.events


def test_a_broker_that_replaces_bodies_is_found_out() -> None:
    def replacing(context: Context, frontend: str, backend: str) -> None:
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        front.bind(frontend)
        back.bind(backend)
        while True:
            back.send_multipart(front.recv_multipart())
            client, empty, *_ = back.recv_multipart()
            front.send_multipart([client, empty, b"garbage"])

    pattern = reqrep.pattern("broker").with_roles(broker=replacing)
    report = run(Scenario(pattern, Fleet(1, 1), Workload(2)))
    verdicts = {verdict.property: verdict for verdict in report.verdicts}
    assert verdicts["envelope"].outcome == "broken"
    assert "has lost its beginning: " in verdicts["envelope"].reason


def router_server(context: Context, endpoint: str, handle: Handle) -> None:
    """A ROUTER where the pattern has a REP: the same on the wire."""
    socket = context.socket(zmq.ROUTER)
    socket.bind(endpoint)
    while True:
        client, empty, *body = socket.recv_multipart()
        socket.send_multipart([client, empty, *handle(body)])


@pytest.mark.parametrize(
    ("name", "programs"),
    [
        ("req-rep", {"server": router_server}),
        ("req-rep", {"client": DealerClient}),
        ("dealer-router", {"client": ReqClient}),
        (
            "load-balancing",
            {"worker": reqrep.pattern("load-balancing-dealer").role("worker").program},
        ),
    ],
)
def test_a_socket_of_another_type_that_speaks_the_same_is_not_flagged(
    name: str, programs: dict[str, Any]
) -> None:
    pattern = reqrep.pattern(name).with_roles(**programs)
    report = run(Scenario(pattern, Fleet(2, 1), Workload(10)), transport="tcp")
    assert report.holds, str(report)
