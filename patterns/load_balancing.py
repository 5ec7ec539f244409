"""Load balancing: a ROUTER-ROUTER broker that gives work to the worker that is ready longest.

A worker asks for work by a ready signal, and each reply of its asks again. So the
broker never guesses: work goes only to a worker that waits for it, and requests wait
with their clients while none does.

    client REQ --- frontend --- ROUTER broker ROUTER --- backend --- REQ or DEALER worker

`load-balancing` has REQ workers, which cannot ask twice; `load-balancing-dealer` has
DEALER workers, where the broker alone sees to it that each holds one request.

Source: the guide, chapter 3, lbbroker (with its fixes: any number of body frames,
oldest ready first, a ready signal that no client can forge).
"""

from __future__ import annotations

from dataclasses import replace

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Membership, Pattern, Promise, Role

from .common import (
    ALWAYS,
    ANSWERING,
    NO_BROKER_CRASH,
    NO_WORKER_CRASH,
    Context,
    Handle,
    promised_but,
)
from .req_rep import ReqClient

READY = b"READY"


def balancing_broker(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    ready: dict[bytes, None] = {}  # The workers that wait for work, longest first, none twice.
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if ready else 0)
        events = dict(poller.poll())
        if back in events:
            match back.recv_multipart():
                # Told from a reply by its length alone, whatever a client calls itself.
                case [worker, b"", word] if word == READY:
                    ready[worker] = None
                case [worker, b"", client, b"", _, *_] as message:
                    ready[worker] = None
                    front.send_multipart([client, *message[3:]])
                case _:
                    pass  # Not of this protocol: its sender gets no work for it.
        if front in events:
            match front.recv_multipart():
                case [_, b"", _, *_] as message:
                    worker = next(iter(ready))
                    del ready[worker]
                    back.send_multipart([worker, b"", *message])
                case _:
                    pass


def req_worker(context: Context, backend: str, handle: Handle) -> None:
    socket = context.socket(zmq.REQ)
    socket.connect(backend)
    socket.send(READY)
    while True:
        client, empty, *body = socket.recv_multipart()
        socket.send_multipart([client, empty, *handle(body)])


def dealer_worker(context: Context, backend: str, handle: Handle) -> None:
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    while True:
        _, client, empty, *body = socket.recv_multipart()
        socket.send_multipart([b"", client, empty, *handle(body)])


_FRONTEND_IN = Hop("request", "frontend", "client", "[body..]", "broker", "[C][][body..]")
_FRONTEND_OUT = Hop("reply", "frontend", "broker", "[C][][body..]", "client", "[body..]")

PATTERN = Pattern(
    name="load-balancing",
    summary="ROUTER-ROUTER broker, work for the worker that is ready longest, REQ workers",
    roles=(
        Role("broker", balancing_broker),
        Role("worker", req_worker, many=True),
        Role("client", ReqClient),
    ),
    links=(
        Link("frontend", "broker", ("client",), sockets=(("client", "REQ"),)),
        Link("backend", "broker", ("worker",), sockets=(("worker", "REQ"),)),
    ),
    hops=(
        Hop("control", "backend", "worker", '["READY"]', "broker", '[W][]["READY"]'),
        _FRONTEND_IN,
        Hop("request", "backend", "broker", "[W][][C][][body..]", "worker", "[C][][body..]"),
        Hop("reply", "backend", "worker", "[C][][body..]", "broker", "[W][][C][][body..]"),
        _FRONTEND_OUT,
    ),
    promises=promised_but(
        # Nobody is sent a second message before the first is read.
        Promise("progress", ANSWERING | {"pressure"}),
        Promise("state-machine", ALWAYS),
        # Whose connection broke while it worked joins by its reply, under another routing id.
        Promise("membership", ANSWERING | {"pressure"}),
        Promise("one-at-a-time", ALWAYS),
        Promise("oldest-ready-first"),
    ),
    membership=Membership(joins=READY),
    does_not_survive=(
        NO_WORKER_CRASH,
        "A worker that died while it was ready stays listed and swallows one request.",
        NO_BROKER_CRASH,
    ),
    source="guide chapter 3, lbbroker; RFC 28/REQREP",
    fleet=Fleet(clients=4, workers=3),
)

DEALER = replace(
    PATTERN,
    name="load-balancing-dealer",
    summary="the same with DEALER workers, which add the delimiter themselves",
    roles=(
        Role("broker", balancing_broker),
        Role("worker", dealer_worker, many=True),
        Role("client", ReqClient),
    ),
    links=(
        PATTERN.link("frontend"),
        Link("backend", "broker", ("worker",), sockets=(("worker", "DEALER"),)),
    ),
    hops=(
        Hop("control", "backend", "worker", '[]["READY"]', "broker", '[W][]["READY"]'),
        _FRONTEND_IN,
        Hop("request", "backend", "broker", "[W][][C][][body..]", "worker", "[][C][][body..]"),
        Hop("reply", "backend", "worker", "[][C][][body..]", "broker", "[W][][C][][body..]"),
        _FRONTEND_OUT,
    ),
)
