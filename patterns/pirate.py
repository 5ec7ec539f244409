"""Paranoid Pirate: load balancing whose broker and workers watch each other by heartbeats.

Nobody waits for the dead. Worker and broker say now and then that they are there, and
whoever has heard nothing for a while forgets the other: the broker gives no more work to
that worker, and the worker comes again, on a new socket. A client that waits too long
asks again, on a new socket too, so that a late reply cannot be taken for another.

    client REQ --- frontend --- ROUTER broker ROUTER --- backend --- DEALER worker

The price is that a request whose reply is late or lost is executed more than once.

Source: the guide, chapter 4, lpclient, ppqueue and ppworker, and RFC 6/PPP, with the fixes that they need:
nobody is a member who did not say READY, a heartbeat does not make a busy worker a ready
one, heartbeats leave when they are due whatever else comes, a client grows patient, and
bodies have any number of frames.
"""

from __future__ import annotations

from math import ceil
from time import monotonic
from typing import ClassVar

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Membership, Pattern, Promise, Role
from reqrep.harness.workload import ClosedLoop, Workload

from .common import ALWAYS, ANSWERING, Body, Context, Handle, Message, promised_but

READY = b"\x01"
HEARTBEAT = b"\x02"

HEARTBEAT_S = 0.25
"""How often broker and worker say that they are there, in seconds; the guide has 1."""

EXPIRY_S = 3 * HEARTBEAT_S
"""After how much silence either takes the other for dead, in seconds."""

PATIENCE_MS = 1000
"""How long a client waits before it asks again for the first time, in milliseconds; the guide has 2500."""

MOST_PATIENCE_MS = 2 * PATIENCE_MS
"""How long it waits at most: whoever is cut off asks again soon after."""


def watchful_broker(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.set(zmq.ROUTER_MANDATORY, 1)
    back.bind(backend)
    members: dict[bytes, float] = {}  # Until when each counts as alive.
    ready: dict[bytes, None] = {}  # Those of them that wait for work, longest first.
    beat_at = monotonic()
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if ready else 0)
        events = dict(poller.poll(_ms_until(beat_at)))
        if back in events:
            worker, *message = back.recv_multipart()
            match message:
                case [word] if word == READY:
                    members[worker] = 0
                    ready[worker] = None
                case [_, b"", _, *_]:
                    front.send_multipart(message)
                    if worker in members:
                        ready[worker] = None
            if worker in members:
                members[worker] = monotonic() + EXPIRY_S
        now = monotonic()
        for worker in [worker for worker, until in members.items() if until <= now]:
            del members[worker]
            ready.pop(worker, None)
        if now >= beat_at:
            beat_at = now + HEARTBEAT_S
            for worker in members:
                _reaches(back, [worker, HEARTBEAT])
        if front in events and ready:
            match front.recv_multipart():
                case [_, b"", _, *_] as message:
                    for worker in list(ready):
                        del ready[worker]
                        if _reaches(back, [worker, *message]):
                            break
                        del members[worker]  # It hears nothing any more, and will come again.


def _reaches(socket: zmq.Socket[bytes], message: Message) -> bool:
    """Send to a worker, unless it has gone or there is no room: to wait would stop all others."""
    try:
        socket.send_multipart(message, zmq.DONTWAIT)
    except zmq.ZMQError as error:
        if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
            raise
        return False
    return True


def _ms_until(time_s: float) -> int:
    """How long to poll, rounded up: rounded down, a loop would turn without waiting."""
    return max(0, ceil((time_s - monotonic()) * 1000))


def beating_worker(context: Context, backend: str, handle: Handle) -> None:
    while True:
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(backend)
            _serve_until_silent(socket, handle)


def _serve_until_silent(socket: zmq.Socket[bytes], handle: Handle) -> None:
    """Serve a broker for as long as something is heard of it."""
    socket.send(READY)
    beat_at = monotonic() + HEARTBEAT_S
    alive_until = monotonic() + EXPIRY_S
    while True:
        if socket.poll(_ms_until(beat_at)):
            match socket.recv_multipart():
                case [client, b"", _, *_] as message:
                    socket.send_multipart([client, b"", *handle(message[2:])])
            alive_until = monotonic() + EXPIRY_S
        elif monotonic() >= alive_until:
            return
        if monotonic() >= beat_at:
            beat_at = monotonic() + HEARTBEAT_S
            try:
                socket.send(HEARTBEAT, zmq.DONTWAIT)
            except zmq.Again:
                pass  # What is unread before it says the same.


class PersistentClient:
    """Asks until it is answered, each time on a new socket and with more patience.

    The guide's Lazy Pirate has the same patience each time: with work that takes longer it
    asks for ever, and what it has given up keeps its worker from what it has not.
    """

    patience_ms: ClassVar[int] = PATIENCE_MS

    def __init__(self, context: Context, endpoint: str) -> None:
        self._context = context
        self._endpoint = endpoint
        self._open()

    def _open(self) -> None:
        self.socket = self._context.socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.connect(self._endpoint)

    def call(self, body: Body) -> Body:
        patience_ms = self.patience_ms
        while True:
            self.socket.rcvtimeo = patience_ms
            self.socket.send_multipart(body)
            try:
                return self.socket.recv_multipart()
            except zmq.Again:
                self.socket.close()
                self._open()
                patience_ms = min(2 * patience_ms, MOST_PATIENCE_MS)

    def close(self) -> None:
        self.socket.close()


_MENDED = frozenset({"cut", "partition", "reset", "restart", "pressure"})
"""What is whole again in the end, or loses messages alone, so that who asks again is answered."""

PATTERN = Pattern(
    name="paranoid-pirate",
    summary="load balancing with heartbeats, workers that come again and clients that ask again",
    roles=(
        Role("broker", watchful_broker),
        Role("worker", beating_worker, many=True),
        Role("client", PersistentClient),
    ),
    links=(
        Link("frontend", "broker", ("client",), sockets=(("client", "REQ"),)),
        Link("backend", "broker", ("worker",), sockets=(("worker", "DEALER"),)),
    ),
    hops=(
        Hop("control", "backend", "worker", "[0x01]", "broker", "[W][0x01]"),
        Hop("control", "backend", "worker", "[0x02]", "broker", "[W][0x02]"),
        Hop("control", "backend", "broker", "[W][0x02]", "worker", "[0x02]"),
        Hop("request", "frontend", "client", "[body..]", "broker", "[C][][body..]"),
        Hop("request", "backend", "broker", "[W][C][][body..]", "worker", "[C][][body..]"),
        Hop("reply", "backend", "worker", "[C][][body..]", "broker", "[W][C][][body..]"),
        Hop("reply", "frontend", "broker", "[C][][body..]", "client", "[body..]"),
    ),
    promises=promised_but(
        Promise("at-least-once", ALWAYS),
        Promise("progress", ANSWERING | _MENDED),
        Promise("recovery", ANSWERING | _MENDED),
        Promise("state-machine", ALWAYS),
        # A broker that stands still between its look and its send cannot know better.
        Promise("membership", ALWAYS - {"stall"}),
        Promise("one-at-a-time", ALWAYS),
        without=("exactly-once",),
    ),
    membership=Membership(joins=READY, silence_s=EXPIRY_S + HEARTBEAT_S),
    does_not_survive=(
        "A request whose reply is late or lost is executed again.",
        "A worker cannot beat while it works: one that works for longer than 0.75 s is taken for "
        "dead. Its reply still passes, and it gets work again once it has come anew.",
        "Work that takes longer than two seconds: its client has always gone when it is done.",
        "A dead broker: clients ask for ever, until the harness ends their requests.",
        "Requests that were made again pile up before a broker that is too slow for them.",
    ),
    source="guide chapter 4, ppqueue and ppworker; RFC 6/PPP",
    fleet=Fleet(clients=4, workers=3),
    # Longer than a heartbeat, even where nothing takes time.
    workload=Workload(arrival=ClosedLoop(think_time_s=0.03)),
)
