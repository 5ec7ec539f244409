"""DEALER-ROUTER: clients that pipeline, a server that answers when each reply is ready.

A DEALER may send again before it is answered. A ROUTER knows who asked by the
routing id in front of each message, and may answer late and in any order, as long
as it puts that id back in front. A server that works in the thread of its ROUTER
only looks asynchronous: while it works, nobody else is heard.

    client DEALER --- service --- ROUTER server (binds), with a pool of threads

`dealer-router` keeps the empty delimiter that REQ and REP would use, so either end
could be one; `dealer-router-bare` leaves it out at both ends.

Source: the guide, chapter 3, asyncsrv; the tutorial that `docs/design.md` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Pattern, Role
from reqrep.harness.workload import ClosedLoop, Occasional, Workload

from .common import (
    HEAD_OF_LINE,
    NO_SERVER_CRASH,
    RECOVERS,
    Body,
    Context,
    Handle,
    Message,
    promised_but,
)
from .pool import serve

THREADS = 8


class DealerClient:
    """A client that pipelines, with the delimiter; also for brokers in front of REP workers."""

    envelope: ClassVar[Body] = [b""]

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        self.socket = context.socket(zmq.DEALER)
        for endpoint in [endpoints] if isinstance(endpoints, str) else endpoints:
            self.socket.connect(endpoint)

    def send(self, body: Body) -> None:
        self.socket.send_multipart([*self.envelope, *body])

    def recv(self) -> Body:
        return self.socket.recv_multipart()[len(self.envelope) :]

    def close(self) -> None:
        self.socket.close(linger=0)


class BareDealerClient(DealerClient):
    """The same without the delimiter."""

    envelope: ClassVar[Body] = []


def router_server(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)

    def work(request: Message) -> Iterator[Message]:
        match request:
            case [client, b"", _, *_]:
                yield [client, b"", *handle(request[2:])]
            case _:
                pass  # No delimiter, or nothing behind it: not a request of this protocol.

    serve(router, endpoint, work, threads=THREADS)


def bare_router_server(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)

    def work(request: Message) -> Iterator[Message]:
        match request:
            case [client, _, *_]:
                yield [client, *handle(request[1:])]
            case _:
                pass  # A routing id alone: nothing was asked.

    serve(router, endpoint, work, threads=THREADS)


PATTERN = Pattern(
    name="dealer-router",
    summary="pipelining DEALER clients and an asynchronous ROUTER server, with the delimiter",
    roles=(Role("server", router_server, many=True), Role("client", DealerClient)),
    links=(
        Link(
            "service", "server", ("client",), sockets=(("server", "ROUTER"), ("client", "DEALER"))
        ),
    ),
    hops=(
        Hop("request", "service", "client", "[][body..]", "server", "[C][][body..]"),
        Hop("reply", "service", "server", "[C][][body..]", "client", "[][body..]"),
    ),
    promises=promised_but(RECOVERS, HEAD_OF_LINE),
    does_not_survive=(
        NO_SERVER_CRASH,
        "Replies come in any order: a client that takes the next reply for the next request is wrong.",
        "A reply to a client that is gone, or whose pipe is full, is dropped in silence.",
    ),
    source="guide chapter 3, asyncsrv; RFC 28/REQREP",
    fleet=Fleet(clients=4, workers=1),
    workload=Workload(arrival=ClosedLoop(window=5), service=(Occasional(slow_s=0.4, one_in=12),)),
)

BARE = replace(
    PATTERN,
    name="dealer-router-bare",
    summary="the same without the delimiter, at both ends",
    roles=(Role("server", bare_router_server, many=True), Role("client", BareDealerClient)),
    links=(Link("service", "server", ("client",)),),
    hops=(
        Hop("request", "service", "client", "[body..]", "server", "[C][body..]"),
        Hop("reply", "service", "server", "[C][body..]", "client", "[body..]"),
    ),
    does_not_survive=(
        *PATTERN.does_not_survive,
        "Without the delimiter no REQ client and no REP worker can be put at either end.",
    ),
)
