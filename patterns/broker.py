"""The shared queue: a ROUTER-DEALER broker between clients and REP workers.

The broker keeps nothing: who asked travels in the message. Requests are dealt to
the workers in turn, whether they are busy or not.

    client REQ or DEALER --- frontend --- ROUTER broker DEALER --- backend --- REP worker

`broker` forwards by hand with REQ clients, `broker-dealer` with DEALER clients, and
`broker-proxy` leaves the forwarding to `zmq.proxy`.

Source: the guide, chapter 2, rrbroker and msgqueue; the frames of RFC 28.
"""

from __future__ import annotations

from dataclasses import replace

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Pattern, Promise, Role
from reqrep.harness.workload import ClosedLoop, Workload

from .common import ALWAYS, NO_WORKER_CRASH, RECOVERS, Context, Handle, promised_but
from .dealer_router import DealerClient
from .req_rep import ReqClient


def hand_broker(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.DEALER)
    back.bind(backend)
    poller = zmq.Poller()
    while True:
        # Requests wait with their clients until a worker has room, as in zmq.proxy:
        # a broker that blocked in a send could not hand out replies meanwhile.
        has_room = back.poll(0, zmq.POLLOUT)
        poller.register(front, zmq.POLLIN if has_room else 0)
        poller.register(back, zmq.POLLIN if has_room else zmq.POLLIN | zmq.POLLOUT)
        ready = dict(poller.poll())
        if ready.get(back, 0) & zmq.POLLIN:
            front.send_multipart(back.recv_multipart())
        if front in ready:
            back.send_multipart(front.recv_multipart())


def proxy_broker(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.DEALER)
    back.bind(backend)
    zmq.proxy(front, back)


def rep_worker(context: Context, backend: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.connect(backend)
    while True:
        socket.send_multipart(handle(socket.recv_multipart()))


_HOPS_WITHIN = (
    Hop("request", "backend", "broker", "[C][][body..]", "worker", "[body..]"),
    Hop("reply", "backend", "worker", "[body..]", "broker", "[C][][body..]"),
)

PATTERN = Pattern(
    name="broker",
    summary="ROUTER-DEALER shared queue between REQ clients and REP workers, forwarding by hand",
    roles=(
        Role("broker", hand_broker),
        Role("worker", rep_worker, many=True),
        Role("client", ReqClient),
    ),
    links=(
        Link("frontend", "broker", ("client",), sockets=(("client", "REQ"),)),
        Link("backend", "broker", ("worker",), sockets=(("broker", "DEALER"), ("worker", "REP"))),
    ),
    hops=(
        Hop("request", "frontend", "client", "[body..]", "broker", "[C][][body..]"),
        *_HOPS_WITHIN,
        Hop("reply", "frontend", "broker", "[C][][body..]", "client", "[body..]"),
    ),
    promises=promised_but(RECOVERS, Promise("state-machine", ALWAYS)),
    does_not_survive=(
        NO_WORKER_CRASH,
        "Work is dealt blindly: requests queue behind a slow worker while others are idle.",
        "A reply to a client that is gone is dropped in silence.",
    ),
    source="guide chapter 2, rrbroker and msgqueue; RFC 28/REQREP",
    fleet=Fleet(clients=4, workers=3),
)

DEALER = replace(
    PATTERN,
    name="broker-dealer",
    summary="the shared queue with DEALER clients, which pipeline",
    roles=(
        Role("broker", hand_broker),
        Role("worker", rep_worker, many=True),
        Role("client", DealerClient),
    ),
    links=(
        Link("frontend", "broker", ("client",), sockets=(("client", "DEALER"),)),
        PATTERN.link("backend"),
    ),
    hops=(
        Hop("request", "frontend", "client", "[][body..]", "broker", "[C][][body..]"),
        *_HOPS_WITHIN,
        Hop("reply", "frontend", "broker", "[C][][body..]", "client", "[][body..]"),
    ),
    workload=Workload(arrival=ClosedLoop(window=4)),
)

PROXY = replace(
    PATTERN.with_roles(broker=proxy_broker),
    name="broker-proxy",
    summary="the shared queue with REQ clients, forwarding by zmq.proxy",
    changed={},
)
