"""Patterns with a defect that a calm run does not show, each beside its correct twin.

`DEFECTS` pairs them. The number is that of the defect in the catalogue of the tests; what
the correct program does otherwise is all that differs between the two. They are declared as
patterns of their own, since what they promise is less than ours do: where a client gives up,
not every op is answered.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import zmq
import zmq.asyncio

import reqrep
from reqrep import Fleet, Hop, Limits, Pattern, Promise, Role, Workload
from reqrep.patterns.broker import hand_broker
from reqrep.patterns.common import PROMISED_BY_MOST, Body, Context, Handle, Message
from reqrep.patterns.load_balancing import READY

from .programs import m30_broker_that_lists_twice

PATIENCE_MS = 200
"""How long a client waits for a reply. What takes long, in a search, takes 300 ms."""

GIVES_UP = (
    *(p for p in PROMISED_BY_MOST if p.property not in ("progress", "recovery", "exactly-once")),
    Promise("at-most-once"),
)
"""What is promised where a client gives up in time. Not `recovery`, which M20 breaks sooner than
what it is here for: its server is busy for ever with what is thrown back at it."""


# --- M05: REQ_RELAXED without REQ_CORRELATE -----------------------------------


class M05RelaxedClient:
    """Asks again on the same socket after it gave up; a late reply is taken for the next."""

    correlate: ClassVar[int] = 0

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = context.socket(zmq.REQ)
        self.socket.set(zmq.REQ_RELAXED, 1)
        self.socket.set(zmq.REQ_CORRELATE, self.correlate)
        self.socket.rcvtimeo = PATIENCE_MS
        for endpoint in endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body:
        self.socket.send_multipart(body)
        return self.socket.recv_multipart()

    def close(self) -> None:
        self.socket.close(linger=0)


class CorrelatedClient(M05RelaxedClient):
    correlate = 1


_REQ_REP = replace(
    reqrep.pattern("req-rep"), promises=(*GIVES_UP, Promise("state-machine")), reference=""
)
M05 = replace(_REQ_REP.with_roles(client=M05RelaxedClient), name="m05-relaxed", changed={})
M05_CORRECT = replace(_REQ_REP.with_roles(client=CorrelatedClient), name="correlated", changed={})


# --- M06, M20: numbered requests ----------------------------------------------


def numbered_server(context: Context, endpoint: str, handle: Handle) -> None:
    """Puts the number of a request before its reply."""
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        client, empty, number, *body = router.recv_multipart()
        router.send_multipart([client, empty, number, *handle(body)])


class NumberedClient:
    """Throws away every reply to a question that it has given up."""

    patience_ms: ClassVar[int] = PATIENCE_MS

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = context.socket(zmq.DEALER)
        for endpoint in endpoints:
            self.socket.connect(endpoint)
        self.number = 0

    def call(self, body: Body) -> Body:
        self.number += 1
        self.socket.send_multipart([b"", b"%d" % self.number, *body])
        until = time.monotonic() + self.patience_ms / 1000
        while (found := self.receive(until))[1] != b"%d" % self.number:
            self.stale(found)
        return found[2:]

    def receive(self, until: float) -> Message:
        left_ms = max(0, round((until - time.monotonic()) * 1000))
        if not self.socket.poll(left_ms):
            raise TimeoutError
        return self.socket.recv_multipart()

    def stale(self, message: Message) -> None:
        """What becomes of a reply that is not the one."""

    def close(self) -> None:
        self.socket.close(linger=0)


class HastyClient(NumberedClient):
    """May give up twice before the first reply comes."""

    patience_ms = 120


class M06ClientThatSkipsOneReply(HastyClient):
    """Believes that at most one stale reply can be in its way."""

    def call(self, body: Body) -> Body:
        self.number += 1
        self.socket.send_multipart([b"", b"%d" % self.number, *body])
        until = time.monotonic() + self.patience_ms / 1000
        found = self.receive(until)
        if found[1] != b"%d" % self.number:
            found = self.receive(until)
        return found[2:]


class M20ClientThatTakesAReplyForARequest(NumberedClient):
    """It serves as well; what it does not wait for is a request to it, and is answered."""

    def stale(self, message: Message) -> None:
        self.socket.send_multipart(message)


class M20ClientThatTakesTheNextReply(NumberedClient):
    """Waits in time, but does not look what it was that came."""

    def call(self, body: Body) -> Body:
        self.number += 1
        self.socket.send_multipart([b"", b"%d" % self.number, *body])
        return self.receive(time.monotonic() + self.patience_ms / 1000)[2:]


NUMBERED = replace(
    reqrep.pattern("dealer-router"),
    name="numbered",
    summary="lock-step DEALER clients that number their requests and give up in time",
    roles=(Role("server", numbered_server, many=True), Role("client", NumberedClient)),
    hops=(
        Hop("request", "service", "client", "[][number][body..]", "server", "[C][][number][body..]"),
        Hop("reply", "service", "server", "[C][][number][body..]", "client", "[][number][body..]"),
    ),
    promises=GIVES_UP,
    workload=Workload(requests=20),
    reference="",
)  # fmt: skip


def _numbered(name: str, client: type[NumberedClient]) -> Pattern:
    return replace(NUMBERED.with_roles(client=client), name=name, changed={})


M06 = _numbered("m06-skips-one", M06ClientThatSkipsOneReply)
M06_CORRECT = _numbered("hasty", HastyClient)
M20 = _numbered("m20-reply-for-request", M20ClientThatTakesAReplyForARequest)
M20_NEXT = _numbered("m20-next-reply", M20ClientThatTakesTheNextReply)


# --- M14: a full pipe is swallowed --------------------------------------------


def m14_broker_that_swallows(context: Context, frontend: str, backend: str) -> None:
    """Never waits in a send; what finds no room is gone."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.DEALER)
    back.sndhwm = 1
    back.bind(backend)
    poller = zmq.Poller()
    poller.register(front, zmq.POLLIN)
    poller.register(back, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if back in ready:
            front.send_multipart(back.recv_multipart())
        if front in ready:
            try:
                while True:
                    request = front.recv_multipart(zmq.NOBLOCK)
                    with suppress(zmq.Again):
                        back.send_multipart(request, zmq.NOBLOCK)
            except zmq.Again:
                pass  # All that there was is read.


class _Narrow:
    """A context whose sockets hold one message at each end of a pipe."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        if kind == zmq.DEALER:
            socket.sndhwm = 1
        return socket


def narrow_broker(context: Context, frontend: str, backend: str) -> None:
    """Ours, with the same limit: it reads no request for which there is no room."""
    hand_broker(_Narrow(context), frontend, backend)  # type: ignore[arg-type]


def narrow_worker(context: Context, backend: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.rcvhwm = 1
    socket.connect(backend)
    while True:
        socket.send_multipart(handle(socket.recv_multipart()))


_NARROW = replace(reqrep.pattern("broker-dealer"), reference="").with_roles(worker=narrow_worker)
M14 = replace(_NARROW.with_roles(broker=m14_broker_that_swallows), name="m14-swallows", changed={})
M14_CORRECT = replace(_NARROW.with_roles(broker=narrow_broker), name="narrow", changed={})


# --- M15: a cancelled receive loses a message -----------------------------------

BEAT_S = 0.05
"""How often the server looks after other things."""


async def _receive_and_check(router: Any) -> Message:
    message: Message = await router.recv_multipart()
    await asyncio.sleep(0)  # A look at who may ask, say. Who is cancelled here loses the message.
    return message


async def _answer(router: Any, handle: Handle, message: Message) -> None:
    await asyncio.sleep(0)  # Whoever receives goes first.
    client, empty, *body = message
    await router.send_multipart([client, empty, *handle(body)])


async def _serve_and_cancel(context: Any, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    async with asyncio.TaskGroup() as answering:
        while True:
            receiving = answering.create_task(_receive_and_check(router))
            await asyncio.wait([receiving], timeout=BEAT_S)
            if receiving.done():
                answering.create_task(_answer(router, handle, receiving.result()))
            else:
                receiving.cancel()


async def _serve_and_keep(context: Any, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    async with asyncio.TaskGroup() as answering:
        receiving = answering.create_task(_receive_and_check(router))
        while True:
            await asyncio.wait([receiving], timeout=BEAT_S)
            if receiving.done():
                answering.create_task(_answer(router, handle, receiving.result()))
                receiving = answering.create_task(_receive_and_check(router))


def m15_server_that_cancels(context: Context, endpoint: str, handle: Handle) -> None:
    asyncio.run(_serve_and_cancel(zmq.asyncio.Context(), endpoint, handle))


def keeping_server(context: Context, endpoint: str, handle: Handle) -> None:
    """The same, but the receive goes on while the server looks after other things."""
    asyncio.run(_serve_and_keep(zmq.asyncio.Context(), endpoint, handle))


_DEALER_ROUTER = replace(
    reqrep.pattern("dealer-router"),
    promises=PROMISED_BY_MOST,
    workload=Workload(requests=20),
    reference="",
)
M15 = replace(
    _DEALER_ROUTER.with_roles(server=m15_server_that_cancels), name="m15-cancels", changed={}
)
M15_CORRECT = replace(_DEALER_ROUTER.with_roles(server=keeping_server), name="keeps", changed={})


# --- M30: READY is listed twice -------------------------------------------------

IDLE_MS = 1


def eager_worker(context: Context, backend: str, handle: Handle) -> None:
    """Says again that it is ready when nothing has come for a while, as it may."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    while True:
        while not socket.poll(IDLE_MS):
            socket.send_multipart([b"", READY])
        _, client, empty, *body = socket.recv_multipart()
        socket.send_multipart([b"", client, empty, *handle(body)])


def broker_that_knows_the_busy(context: Context, frontend: str, backend: str) -> None:
    """Whoever holds a request is not ready, whatever it said before it got it."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    ready: dict[bytes, None] = {}
    busy: set[bytes] = set()
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if ready else 0)
        events = dict(poller.poll())
        if back in events:
            worker, _, *message = back.recv_multipart()
            if message != [READY]:
                busy.discard(worker)
                front.send_multipart(message)
            if worker not in busy:
                ready[worker] = None
        if front in events:
            worker = next(iter(ready))
            del ready[worker]
            busy.add(worker)
            back.send_multipart([worker, b"", *front.recv_multipart()])


_EAGER = replace(
    reqrep.pattern("load-balancing-dealer"),
    promises=(*PROMISED_BY_MOST, Promise("one-at-a-time")),
    reference="",
).with_roles(worker=eager_worker)
M30 = replace(_EAGER.with_roles(broker=m30_broker_that_lists_twice), name="m30-twice", changed={})
M30_CORRECT = replace(
    _EAGER.with_roles(broker=broker_that_knows_the_busy), name="eager", changed={}
)


# --- the same routing id again, while what the old connection sent is unread --------

BYE = b"BYE"


class ClientThatReturnsUnderItsName:
    """A socket for each request, always of the same name; says goodbye at the end of each."""

    def __init__(self, context: Context, endpoints: list[str], name: str) -> None:
        self.context = context
        self.endpoints = endpoints
        self.name = name.encode()
        self.socket = self.open()

    def open(self) -> zmq.Socket[bytes]:
        socket = self.context.socket(zmq.DEALER)
        self.identify(socket)
        for endpoint in self.endpoints:
            socket.connect(endpoint)
        return socket

    def identify(self, socket: zmq.Socket[bytes]) -> None:
        socket.set(zmq.ROUTING_ID, self.name)

    def call(self, body: Body) -> Body:
        self.socket.send_multipart([b"", *body])
        reply = self.socket.recv_multipart()[1:]
        self.socket.send_multipart([b"", BYE])
        self.socket.close()
        self.socket = self.open()
        return reply

    def close(self) -> None:
        self.socket.close(linger=0)


class ClientThatReturnsUnderAnotherName(ClientThatReturnsUnderItsName):
    """The same, but libzmq names each socket of its anew."""

    def identify(self, socket: zmq.Socket[bytes]) -> None:
        pass


def parting_server(context: Context, endpoint: str, handle: Handle) -> None:
    """Works where it reads, so that what its clients send may lie unread for a while."""
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        client, _, *body = router.recv_multipart()
        if body != [BYE]:
            router.send_multipart([client, b"", *handle(body)])


_PARTING = replace(
    reqrep.pattern("dealer-router"),
    roles=(
        Role("server", parting_server, many=True),
        Role("client", ClientThatReturnsUnderItsName),
    ),
    hops=(
        Hop("control", "service", "client", '[]["BYE"]', "server", '[C][]["BYE"]'),
        *reqrep.pattern("dealer-router").hops,
    ),
    # SAME_NAME breaks `recovery` as well, and now and then sooner.
    promises=tuple(p for p in PROMISED_BY_MOST if p.property != "recovery"),
    fleet=Fleet(clients=2, workers=1),
    workload=Workload(requests=20),
    reference="",
)
SAME_NAME = replace(_PARTING, name="same-name")
OTHER_NAME = replace(
    _PARTING.with_roles(client=ClientThatReturnsUnderAnotherName), name="other-name", changed={}
)


class Defect(NamedTuple):
    """A defect, its twin, and how a search meets them.

    Attributes:
        defect, correct: Names of patterns in this module.
        broken: The property that breaks.
        limits: How far the scenarios go; the master seed is the test's.
    """

    defect: str
    correct: str
    broken: str
    limits: Limits = Limits()


DEFECTS = (
    Defect("M05", "M05_CORRECT", "correlation"),
    Defect("M06", "M06_CORRECT", "correlation"),
    Defect("M14", "M14_CORRECT", "progress"),
    Defect("M15", "M15_CORRECT", "progress"),
    Defect("M20", "NUMBERED", "at-most-once"),
    Defect("M20_NEXT", "NUMBERED", "correlation"),
    Defect("M30", "M30_CORRECT", "one-at-a-time"),
    Defect("SAME_NAME", "OTHER_NAME", "progress"),
)
