"""Programs with one defect each, as real code has them; numbers are those of the tests."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar

import zmq

from reqrep.patterns import pirate
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.dealer_router import BareDealerClient
from reqrep.patterns.load_balancing import READY
from reqrep.patterns.req_rep import ReqClient

# --- the chapter's own pair --------------------------------------------------


def chapter_router(context: Context, endpoint: str) -> None:
    """The chapter's ROUTER server, word for word but for the endless printing."""
    socket = context.socket(zmq.ROUTER)
    socket.bind(endpoint)
    while True:
        msg = socket.recv_multipart()
        client_id, _, _content = msg
        socket.send_multipart([client_id, b"", b"ACK"])


class ChapterDealer(BareDealerClient):
    """The chapter's DEALER client: it sends one bare frame."""


def chapter_sleeper(context: Context, endpoint: str, seconds: float = 0.6) -> None:
    """The chapter's asynchronous server, which sleeps where it should read."""
    import time

    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        identity, _, _request = router.recv_multipart()
        time.sleep(seconds)
        router.send_multipart([identity, b"", b"Response after delay"])


# --- REQ-REP -----------------------------------------------------------------

POISON = b"poison"


def poisoned_body(client: int, number: int) -> bytes:
    return POISON if number == 1 else b"fine"


def m01_server_that_logs_and_goes_on(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        try:
            body = socket.recv_multipart()
            if body[0].endswith(POISON):
                raise ValueError("cannot decode")
            socket.send_multipart(handle(body))
        except ValueError:
            pass  # Logged, and back to recv without a reply.


def m02_server_that_replies_if_truthy(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        body = handle(socket.recv_multipart())
        result = None if body[0].endswith(POISON) else body
        if result:
            socket.send_multipart(result)


class M04ClientThatRetriesOnTheSameReq(ReqClient):
    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, endpoints)
        self.socket.rcvtimeo = 50

    def call(self, body: Body) -> Body:
        for _ in range(3):
            self.socket.send_multipart(body)
            try:
                return self.socket.recv_multipart()
            except zmq.Again:
                continue
        raise TimeoutError


# --- DEALER-ROUTER -----------------------------------------------------------


def m09_server_without_the_delimiter(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        client, _, *body = router.recv_multipart()
        router.send_multipart([client, *handle(body)])


def m11_server_that_answers_whom_it_saw_last(
    context: Context, endpoint: str, handle: Handle
) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    requests: deque[Body] = deque()
    while True:
        client, _, *body = router.recv_multipart()
        requests.append(body)
        while router.poll(20):
            client, _, *body = router.recv_multipart()
            requests.append(body)
        while requests:
            router.send_multipart([client, b"", *handle(requests.popleft())])


def m13_server_that_decodes_identities(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        identity, _, *body = router.recv_multipart()
        client = identity.decode("utf-8", "replace")
        router.send_multipart([client.encode(), b"", *handle(body)])


class DealerWithAwkwardId(BareDealerClient):
    """Its routing id is no UTF-8, as those that libzmq makes up are not, most of the time."""

    envelope: ClassVar[Body] = [b""]

    def __init__(self, context: Context, endpoints: list[str], name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.ROUTING_ID, b"\xfe" + name.encode())
        for endpoint in endpoints:
            self.socket.connect(endpoint)


# --- load-balancing broker ---------------------------------------------------


def _broker(
    context: Context,
    frontend: str,
    backend: str,
    *,
    pop: Callable[[list[bytes]], bytes],
    three_frames: bool = False,
    doubles: bool = False,
) -> None:
    """The guide's broker; each defect is one argument."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    idle: list[bytes] = []
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if idle else 0)
        events = dict(poller.poll())
        if back in events:
            worker, _, client, *reply = back.recv_multipart()
            if doubles or worker not in idle:
                idle.append(worker)
            if client != READY:
                front.send_multipart([client, *reply])
        if front in events:
            if three_frames:
                client, _, request = front.recv_multipart()
                rest = [client, b"", request]
            else:
                rest = front.recv_multipart()
            back.send_multipart([pop(idle), b"", *rest])


def guide_broker(context: Context, frontend: str, backend: str) -> None:
    """The same without a defect, as long as no client is called READY."""
    _broker(context, frontend, backend, pop=lambda idle: idle.pop(0))


def m24_broker_with_a_stack(context: Context, frontend: str, backend: str) -> None:
    _broker(context, frontend, backend, pop=lambda idle: idle.pop())


def m26_broker_that_unpacks_three_frames(context: Context, frontend: str, backend: str) -> None:
    _broker(context, frontend, backend, pop=lambda idle: idle.pop(0), three_frames=True)


def m30_broker_that_lists_twice(context: Context, frontend: str, backend: str) -> None:
    _broker(context, frontend, backend, pop=lambda idle: idle.pop(0), doubles=True)


def worker_ready_twice(context: Context, backend: str, handle: Handle) -> None:
    """Legal for a DEALER worker: a broker must not take it for two workers."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    socket.send_multipart([b"", READY])
    while True:
        _, client, empty, *body = socket.recv_multipart()
        socket.send_multipart([b"", client, empty, *handle(body)])


# --- paranoid pirate ---------------------------------------------------------

BEAT_MS = round(pirate.HEARTBEAT_S * 1000)


def _pirate_broker(
    context: Context,
    frontend: str,
    backend: str,
    *,
    joins: Callable[[list[bytes]], bool] = lambda message: message == [pirate.READY],
    frees: Callable[[list[bytes]], bool] = lambda message: len(message) > 1,
    sweeps_on: bool = True,
) -> None:
    """A broker that takes the silent for dead; each defect is one argument."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    members: dict[bytes, float] = {}
    idle: list[bytes] = []
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    beat_at = time.monotonic()
    while True:
        poller.register(front, zmq.POLLIN if idle else 0)
        events = dict(poller.poll(BEAT_MS))
        if back in events:
            worker, *message = back.recv_multipart()
            if joins(message) or (worker in members and frees(message)):
                if worker not in idle:
                    idle.append(worker)
                members[worker] = 0
            if len(message) > 1:
                front.send_multipart(message)
            if worker in members:
                members[worker] = time.monotonic() + pirate.EXPIRY_S
        for worker, until in list(members.items()):
            if until <= time.monotonic():
                del members[worker]
                if worker in idle:
                    idle.remove(worker)
            elif not sweeps_on:
                break
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + pirate.HEARTBEAT_S
            for worker in members:
                back.send_multipart([worker, pirate.HEARTBEAT])
        if front in events and idle:
            back.send_multipart([idle.pop(0), *front.recv_multipart()])


def pirate_broker(context: Context, frontend: str, backend: str) -> None:
    """The same without a defect."""
    _pirate_broker(context, frontend, backend)


def m28_broker_that_lists_on_any_message(context: Context, frontend: str, backend: str) -> None:
    _pirate_broker(context, frontend, backend, frees=lambda message: True)


def m45_broker_that_sweeps_up_to_the_first_alive(
    context: Context, frontend: str, backend: str
) -> None:
    _pirate_broker(context, frontend, backend, sweeps_on=False)


def broker_that_takes_a_heartbeat_for_ready(context: Context, frontend: str, backend: str) -> None:
    _pirate_broker(context, frontend, backend, joins=lambda message: len(message) == 1)


def worker_that_beats_before_it_works(context: Context, backend: str, handle: Handle) -> None:
    """More heartbeats than are due are legal."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send(pirate.READY)
    while True:
        if not socket.poll(BEAT_MS):
            socket.send(pirate.HEARTBEAT)
            continue
        message = socket.recv_multipart()
        if len(message) > 1:
            socket.send(pirate.HEARTBEAT)
            socket.send_multipart([*message[:2], *handle(message[2:])])
