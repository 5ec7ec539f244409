"""Programs that ask for too much: each has its clear outcome, and memory comes back."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import Fleet, Report, Scenario, Workload
from reqrep.patterns.common import Context, Handle
from reqrep.patterns.req_rep import ReqClient

MIB = 2**20
LARGE = 100 * MIB
MANY = 100_000


def run_client(attempt: Callable[[Context, str], object], transport: str = "tcp") -> Report:
    """One client does something else before its requests, with an endpoint of its own."""

    class Client(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            super().__init__(context, endpoints)
            attempt(context, {"tcp": "tcp://127.0.0.1:9999"}.get(transport, "inproc://own"))

    pattern = reqrep.pattern("req-rep").with_roles(client=Client)
    return reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(2)), "simulated", transport)


def peers(context: Context, endpoint: str) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    reader, writer = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    reader.bind(endpoint)
    writer.connect(endpoint)
    assert writer.poll(1000, zmq.POLLOUT)
    return reader, writer


@pytest.fixture
def traced() -> Any:
    """How many bytes there are now, and how many at most since."""
    reqrep.run("req-rep", "simulated")  # Whatever is imported by a first run is there.
    gc.collect()
    tracemalloc.start()
    yield tracemalloc.get_traced_memory
    tracemalloc.stop()


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_message_of_100_mb_passes_and_only_its_digest_is_kept(
    transport: str, traced: Callable[[], tuple[int, int]]
) -> None:
    def attempt(context: Context, endpoint: str) -> None:
        reader, writer = peers(context, endpoint)
        writer.send_multipart([b"head", bytes(LARGE)])
        head, body = reader.recv_multipart()
        assert (head, len(body)) == (b"head", LARGE)
        reader.close()
        writer.close()

    before, _ = traced()
    report = run_client(attempt, transport)
    assert report.holds, str(report)
    gc.collect()
    after, most = traced()
    assert LARGE < most - before < 2.2 * LARGE
    assert after - before < MIB
    [sent] = [event for event in report.history.of("send") if event.frames[0] == b"head"]
    [received] = [event for event in report.history.of("recv") if event.frames[0] == b"head"]
    assert sent.frames == received.frames
    assert sum(map(len, sent.frames)) < 10_000


@pytest.mark.parametrize("many", [10_000, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_messages_to_a_peer_that_never_reads_are_bounded(
    transport: str, many: int, traced: Callable[[], tuple[int, int]]
) -> None:
    taken = [0]

    def attempt(context: Context, endpoint: str) -> None:
        reader, writer = peers(context, endpoint)
        with reader, writer:
            for _ in range(many):
                try:
                    writer.send(bytes(10_000), zmq.DONTWAIT)
                    taken[0] += 1
                except zmq.Again:
                    pass
            writer.linger = 0

    before, _ = traced()
    report = run_client(attempt, transport)
    assert report.holds, str(report)
    if transport == "inproc":
        assert taken == [2000]  # SNDHWM and RCVHWM.
    else:
        assert 1000 <= taken[0] < 4000  # What the network holds too, as far as it came.
    del report
    gc.collect()
    after, highest = traced()
    assert highest - before < 64 * MIB
    assert after - before < MIB


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_send_to_a_peer_that_never_reads_blocks(transport: str) -> None:
    waited: list[float] = []

    def attempt(context: Context, endpoint: str) -> None:
        reader, writer = peers(context, endpoint)
        writer.sndtimeo = 250
        writer.linger = 0
        with reader, writer:
            for _ in range(MANY):
                begun = time.monotonic()
                try:
                    writer.send(bytes(100))
                except zmq.Again:
                    waited.append(time.monotonic() - begun)
                    return

    assert run_client(attempt, transport).holds
    assert waited == [pytest.approx(0.25)]


def test_a_socket_whose_context_has_ended_says_so() -> None:
    """Each call is ETERM, as on libzmq, until the program closes it."""
    said: list[int | None] = []

    def serves_to_the_end(context: Context, endpoint: str, handle: Handle) -> None:
        socket = context.socket(zmq.REP)
        socket.bind(endpoint)
        try:
            while True:
                socket.send_multipart(handle(socket.recv_multipart()))
        except zmq.ContextTerminated:
            for call in (
                lambda: socket.send(b""),
                lambda: socket.recv(),
                lambda: socket.poll(0),
                lambda: socket.get(zmq.EVENTS),
                lambda: socket.bind("tcp://127.0.0.1:*"),
                lambda: context.socket(zmq.REQ),
            ):
                with pytest.raises(zmq.ZMQError) as refused:
                    call()
                said.append(refused.value.errno)
            socket.close()

    pattern = reqrep.pattern("req-rep").with_roles(server=serves_to_the_end)
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(2)), "simulated")
    assert report.holds, str(report)
    assert said[:5] == [zmq.ETERM] * 5
    assert said[5] in (zmq.ETERM, zmq.ENOTSUP)  # Its context was closed by the world.
