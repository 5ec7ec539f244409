"""REQ-REP: lock-step between clients and one or several servers.

A REQ sends, then must receive; a REP receives, then must send. Any other call is
EFSM and changes nothing. With several servers a REQ asks them in turn.

    client REQ --- service --- REP server (binds)

Source: the guide, chapter 1, hwserver and hwclient; RFC 28/REQREP.
"""

from __future__ import annotations

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Pattern, Promise, Role

from .common import ALWAYS, NO_SERVER_CRASH, RECOVERS, Body, Context, Handle, promised_but


class ReqClient:
    """A client that asks one question at a time; also for brokers that REQ clients talk to."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        self.socket = context.socket(zmq.REQ)
        for endpoint in [endpoints] if isinstance(endpoints, str) else endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body:
        self.socket.send_multipart(body)
        return self.socket.recv_multipart()

    def close(self) -> None:
        self.socket.close(linger=0)


def rep_server(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        socket.send_multipart(handle(socket.recv_multipart()))


PATTERN = Pattern(
    name="req-rep",
    summary="lock-step REQ clients and one or several REP servers, asked in turn",
    roles=(Role("server", rep_server, many=True), Role("client", ReqClient)),
    links=(Link("service", "server", ("client",), sockets=(("server", "REP"), ("client", "REQ"))),),
    hops=(
        Hop("request", "service", "client", "[body..]", "server", "[body..]"),
        Hop("reply", "service", "server", "[body..]", "client", "[body..]"),
    ),
    promises=promised_but(RECOVERS, Promise("state-machine", ALWAYS)),
    does_not_survive=(
        NO_SERVER_CRASH,
        "With several servers one dead endpoint takes its turn: the request parks there "
        "and the live servers are never asked again.",
    ),
    source="guide chapter 1, hwserver and hwclient; RFC 28/REQREP",
    fleet=Fleet(clients=4, workers=2),
)
