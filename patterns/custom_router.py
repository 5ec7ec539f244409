"""Custom routers: four uses, each a ROUTER that decides for itself.

* `custom-router`: an asynchronous protocol of its own, with a metadata frame, message
  ids, and several replies to a request, the last marked as such;
* `custom-router-chosen`: serves everybody and answers only a chosen client;
* `custom-router-queue`: takes requests into a queue of its own and spreads them over
  workers that ask for them;
* `custom-router-table`: sends the reply to another client, by a routing table that
  the clients fill.

Source: the tutorial that `docs/design.md` names; the guide, chapter 3, on ROUTER sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import zmq

from reqrep.harness.fleet import Fleet
from reqrep.harness.pattern import Hop, Link, Pattern, Promise, Role
from reqrep.harness.workload import ClosedLoop, Occasional, Workload

from .common import (
    ALWAYS,
    HEAD_OF_LINE,
    NO_BROKER_CRASH,
    NO_SERVER_CRASH,
    NO_WORKER_CRASH,
    PROMISED_BY_MOST,
    RECOVERS,
    Body,
    Context,
    Handle,
    Message,
    promised_but,
)
from .dealer_router import DealerClient
from .load_balancing import READY, dealer_worker
from .pool import serve

THREADS = 8


# --- an asynchronous protocol of its own ------------------------------------

PART, LAST = b"PART", b"LAST"
PARTS = 2
"""How many replies with progress come before the last one."""


class ConversingClient:
    """Sends `[meta][id][body..]`; gets `[meta][id]["PART"][progress]` and a last one with the body."""

    def __init__(self, context: Context, endpoint: str, name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(endpoint)
        self._meta = b"META:userid=" + name.encode()
        self._next_id = 0
        self._parts_of: dict[bytes, int] = {}  # What was asked and is not answered to the end.

    def send(self, body: Body) -> None:
        message_id = b"%d" % self._next_id
        self._next_id += 1
        self._parts_of[message_id] = 0
        self.socket.send_multipart([self._meta, message_id, *body])

    def recv(self) -> Body | None:
        """The body of a last reply; None for a reply that only tells of progress."""
        _, message_id, word, *body = self.socket.recv_multipart()
        if message_id not in self._parts_of:
            return None  # To a question that was answered before, or never asked.
        if word == PART:
            self._parts_of[message_id] += 1
            return None
        del self._parts_of[message_id]
        return body

    def close(self) -> None:
        self.socket.close(linger=0)


def conversing_server(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)

    def work(request: Message) -> Iterator[Message]:
        match request:
            case [client, meta, message_id, _, *_] if meta.startswith(b"META:"):
                for part in range(PARTS):
                    yield [client, meta, message_id, PART, b"%d of %d" % (part + 1, PARTS)]
                yield [client, meta, message_id, LAST, *handle(request[3:])]
            case _:
                pass  # Not of this protocol.

    serve(router, endpoint, work, threads=THREADS)


_SERVICE = (Link("service", binds="server", connects=("client",)),)

PATTERN = Pattern(
    name="custom-router",
    summary="an asynchronous protocol with metadata, message ids and several replies per request",
    roles=(Role("server", conversing_server), Role("client", ConversingClient)),
    links=_SERVICE,
    hops=(
        Hop(
            "request", "service", "client", "[meta][id][body..]", "server", "[C][meta][id][body..]"
        ),
        Hop(
            "control",
            "service",
            "server",
            '[C][meta][id]["PART"][progress]',
            "client",
            '[meta][id]["PART"][progress]',
        ),
        Hop(
            "reply",
            "service",
            "server",
            '[C][meta][id]["LAST"][body..]',
            "client",
            '[meta][id]["LAST"][body..]',
        ),
    ),
    promises=promised_but(RECOVERS, HEAD_OF_LINE),
    does_not_survive=(
        NO_SERVER_CRASH,
        "Nothing is asked again: a reply that is lost leaves its question open.",
    ),
    source="guide chapter 3, ROUTER sockets and their routing ids; RFC 28/REQREP",
    fleet=Fleet(clients=4, workers=1),
    workload=Workload(arrival=ClosedLoop(window=5), service=(Occasional(slow_s=0.4, one_in=12),)),
)


# --- answers only a chosen client -------------------------------------------

CHOSEN = b"META:userid=client-0"


class AnnouncingClient(DealerClient):
    """Says in a metadata frame who asks."""

    def __init__(self, context: Context, endpoint: str, name: str) -> None:
        super().__init__(context, endpoint)
        self._meta = b"META:userid=" + name.encode()

    def send(self, body: Body) -> None:
        self.socket.send_multipart([b"", self._meta, *body])


def choosing_server(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        match router.recv_multipart():
            case [client, b"", meta, _, *_] as message:
                reply = handle(message[3:])
                if meta == CHOSEN:
                    router.send_multipart([client, b"", *reply])
            case _:
                pass


def only_the_chosen(client: int, clients: int) -> int | None:
    return client if client == 0 else None


CHOSEN_PATTERN = replace(
    PATTERN,
    name="custom-router-chosen",
    summary="serves everybody and answers only a chosen client",
    roles=(Role("server", choosing_server), Role("client", AnnouncingClient)),
    hops=(
        Hop("request", "service", "client", "[][meta][body..]", "server", "[C][][meta][body..]"),
        Hop("reply", "service", "server", "[C][][body..]", "client", "[][body..]"),
    ),
    # An op that nobody is answered for ends when it is sent, and may be lost afterwards.
    promises=promised_but(RECOVERS, Promise("exactly-once"), Promise("at-most-once", ALWAYS)),
    addressee=only_the_chosen,
    workload=Workload(arrival=ClosedLoop(window=5)),
)


# --- queues, and spreads over workers ---------------------------------------

QUEUE_LIMIT = 10_000
"""Requests that the broker holds; more wait with their clients."""


def queueing_broker(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    ready: dict[bytes, None] = {}
    waiting: deque[Message] = deque()
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if len(waiting) < QUEUE_LIMIT else 0)
        events = dict(poller.poll())
        if back in events:
            match back.recv_multipart():
                case [worker, b"", word] if word == READY:
                    ready[worker] = None
                case [worker, b"", client, b"", _, *_] as message:
                    ready[worker] = None
                    front.send_multipart([client, *message[3:]])
                case _:
                    pass
        if front in events:
            match front.recv_multipart():
                case [_, b"", _, *_] as message:
                    waiting.append(message)
                case _:
                    pass
        while waiting and ready:
            worker = next(iter(ready))
            del ready[worker]
            back.send_multipart([worker, b"", *waiting.popleft()])


QUEUE_PATTERN = replace(
    PATTERN,
    name="custom-router-queue",
    summary="takes requests into a queue and spreads them over workers that ask for them",
    roles=(
        Role("broker", queueing_broker),
        Role("worker", dealer_worker, many=True),
        Role("client", DealerClient),
    ),
    links=(
        Link("frontend", binds="broker", connects=("client",)),
        Link("backend", binds="broker", connects=("worker",)),
    ),
    hops=(
        Hop("control", "backend", "worker", '[]["READY"]', "broker", '[W][]["READY"]'),
        Hop("request", "frontend", "client", "[][body..]", "broker", "[C][][body..]"),
        Hop("request", "backend", "broker", "[W][][C][][body..]", "worker", "[][C][][body..]"),
        Hop("reply", "backend", "worker", "[][C][][body..]", "broker", "[W][][C][][body..]"),
        Hop("reply", "frontend", "broker", "[C][][body..]", "client", "[][body..]"),
    ),
    promises=(*PROMISED_BY_MOST, Promise("one-at-a-time", ALWAYS), Promise("oldest-ready-first")),
    does_not_survive=(NO_WORKER_CRASH, NO_BROKER_CRASH),
    fleet=Fleet(clients=4, workers=3),
    workload=Workload(arrival=ClosedLoop(window=5)),
)


# --- replies to another client, by a table ----------------------------------

ROUTE = b"ROUTE"


def partner_of(client: int, clients: int) -> int:
    """Clients 0 and 1 get each other's replies, 2 and 3, and so on; an odd one its own."""
    partner = client ^ 1
    return partner if partner < clients else client


class RoutedClient(DealerClient):
    """Is known by its name, and says first who gets the replies to its requests."""

    def __init__(self, context: Context, endpoint: str, name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.ROUTING_ID, name.encode())
        self.socket.connect(endpoint)
        role, _, number = name.rpartition("-")
        partner = b"%s-%d" % (role.encode(), int(number) ^ 1)
        self.socket.send_multipart([b"", ROUTE, partner])


def table_server(context: Context, endpoint: str, handle: Handle) -> None:
    router = context.socket(zmq.ROUTER)
    # An unknown addressee is an error here, not silence: then the asker gets the reply.
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.bind(endpoint)
    table: dict[bytes, bytes] = {}
    while True:
        match router.recv_multipart():
            case [client, b"", word, target] if word == ROUTE:
                table[client] = target
            case [client, b"", _, *_] as message:
                reply = [b"", *handle(message[2:])]
                for target in (table.get(client, client), client):
                    try:
                        router.send_multipart([target, *reply])
                    except zmq.ZMQError as error:
                        if error.errno != zmq.EHOSTUNREACH:
                            raise
                    else:
                        break
            case _:
                pass


TABLE_PATTERN = replace(
    PATTERN,
    name="custom-router-table",
    summary="sends each reply to another client, by a routing table that the clients fill",
    roles=(Role("server", table_server), Role("client", RoutedClient)),
    hops=(
        Hop("control", "service", "client", '[]["ROUTE"][to]', "server", '[C][]["ROUTE"][to]'),
        Hop("request", "service", "client", "[][body..]", "server", "[C][][body..]"),
        Hop("reply", "service", "server", "[C][][body..]", "client", "[][body..]"),
    ),
    # While an addressee is gone its replies go to whoever asked.
    promises=promised_but(Promise("reply-identity")),
    does_not_survive=(
        NO_SERVER_CRASH,
        "Clients have fixed names: a second client of the same name is never heard.",
        "A client that comes back while the server works is taken for a second one, and never heard "
        "again: the server has not read yet that the first one is gone.",
    ),
    addressee=partner_of,
    workload=Workload(arrival=ClosedLoop(window=5)),
)
