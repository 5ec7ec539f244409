"""Programs that are right as long as nothing goes wrong, and those that are right also when it does."""

from __future__ import annotations

import time
from itertools import cycle
from typing import TypeAlias

import zmq

from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.load_balancing import READY, balancing_broker, dealer_worker
from reqrep.patterns.req_rep import ReqClient, rep_server

__all__ = ["balancing_broker", "dealer_worker", "rep_server"]

Socket: TypeAlias = zmq.Socket[bytes]

PATIENCE_MS = 50
"""How long the clients here wait for a reply."""

PING = b"PING"


# --- clients -------------------------------------------------------------------


class RelaxedWithoutCorrelate(ReqClient):
    """M05: after a time-out it sends again, and a late reply passes for the new one's."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        super().__init__(context, endpoints)
        self.socket.set(zmq.REQ_RELAXED, 1)
        self.socket.rcvtimeo = PATIENCE_MS


class Reopening(ReqClient):
    """The lazy pirate: after a time-out it opens a new socket, and asks as often as it takes."""

    times = 40

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        self._make = context, endpoints
        super().__init__(context, endpoints)

    def call(self, body: Body) -> Body:
        for _ in range(self.times):
            self.socket.send_multipart(body)
            if self.socket.poll(PATIENCE_MS):
                return self.socket.recv_multipart()
            self.socket.close(linger=0)
            super().__init__(*self._make)
        raise TimeoutError


class ReopeningForHalfASecond(Reopening):
    """Asks as often as that takes, which is often enough for who is only lost for a moment."""

    times = 10


class ReopeningOnce(Reopening):
    """Asks once, and gives up after a time-out."""

    times = 1


class Impatient(ReqClient):
    """Gives up after a second."""

    def clock(self) -> float:
        return time.monotonic()

    def call(self, body: Body) -> Body:
        until = self.clock() + 1
        self.socket.send_multipart(body)
        while self.clock() < until:
            if self.socket.poll(10):
                return self.socket.recv_multipart()
        raise TimeoutError


class ImpatientByTheWallClock(Impatient):
    """The same by a clock that can be set."""

    def clock(self) -> float:
        return time.time()


class ReadsAwayOneStaleReply:
    """M06: asks again and again, and reads away one stale reply before the next question."""

    stale = 1

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        self.socket = context.socket(zmq.DEALER)
        for endpoint in [endpoints] if isinstance(endpoints, str) else endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body:
        for _ in range(self.stale):
            if self.socket.poll(0):
                self.socket.recv_multipart()
        while True:
            self.socket.send_multipart([b"", *body])
            if self.socket.poll(PATIENCE_MS):
                return self.socket.recv_multipart()[1:]


class ReadsAwayAllStaleReplies(ReadsAwayOneStaleReply):
    """What it asked before cannot come any more: it waits out the late ones, and reads them away."""

    stale = 100

    def call(self, body: Body) -> Body:
        reply = super().call(body)
        while self.socket.poll(10 * PATIENCE_MS):
            self.socket.recv_multipart()
        return reply


class AsksElsewhere(Reopening):
    """Asks the next server after a time-out, so that both may do the work."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, endpoints)
        self._endpoints = endpoints

    def call(self, body: Body) -> Body:
        self._endpoints = [*self._endpoints[1:], self._endpoints[0]]
        self._make = self._make[0], self._endpoints
        return super().call(body)


class Insists:
    """Asks again until it is answered, always under its own name."""

    def __init__(self, context: Context, endpoints: list[str], name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.routing_id = name.encode()
        self.socket.reconnect_ivl = 10
        self.prepare()
        for endpoint in endpoints:
            self.socket.connect(endpoint)

    def prepare(self) -> None:
        """Set what has to be set before it connects."""

    def call(self, body: Body) -> Body:
        while True:
            self.socket.send_multipart([b"", *body])
            while self.socket.poll(PATIENCE_MS):
                _, *reply = self.socket.recv_multipart()
                if reply == body:
                    return reply


class InsistsAndListens(Insists):
    """The same, and its heartbeats find out when a connection leads nowhere."""

    def prepare(self) -> None:
        self.socket.heartbeat_ivl = PATIENCE_MS


class AsksAround:
    """Asks one server after the other, each on a socket of its own, until one answers."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self._context = context
        self._endpoints = cycle(endpoints)

    def call(self, body: Body) -> Body:
        while True:
            with self._context.socket(zmq.REQ) as socket:
                socket.linger = 0
                socket.connect(next(self._endpoints))
                socket.send_multipart(body)
                if socket.poll(PATIENCE_MS):
                    return socket.recv_multipart()


class PingsBehindItsRequest:
    """Pings a server that it does not hear, and gives it up when that is not answered either."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = self.connected(context, endpoints)

    def connected(self, context: Context, endpoints: list[str]) -> Socket:
        socket = context.socket(zmq.DEALER)
        for endpoint in endpoints:
            socket.connect(endpoint)
        return socket

    def call(self, body: Body) -> Body:
        self.socket.send_multipart([b"", *body])
        while True:
            if not self.socket.poll(PATIENCE_MS):
                self.ping(self.socket)
                continue
            _, *answer = self.socket.recv_multipart()
            if answer != [PING]:
                return answer

    def ping(self, socket: Socket) -> None:
        socket.send_multipart([b"", PING])
        if not socket.poll(2 * PATIENCE_MS):
            raise TimeoutError


class PingsBesideItsRequest(PingsBehindItsRequest):
    """The same, on a connection of their own, where nothing big stands in front."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, endpoints)
        self.beside = self.connected(context, endpoints)

    def ping(self, socket: Socket) -> None:
        super().ping(self.beside)
        self.beside.recv_multipart()


# --- brokers and workers ---------------------------------------------------------


def broker_that_takes_leave_of_the_dead(context: Context, frontend: str, backend: str) -> None:
    """As `balancing_broker`, but it is told when a worker is gone, and takes the next, or says so."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.set(zmq.ROUTER_MANDATORY, 1)
    back.bind(backend)
    ready: dict[bytes, None] = {}
    poller = zmq.Poller()
    poller.register(back, zmq.POLLIN)
    while True:
        poller.register(front, zmq.POLLIN if ready else 0)
        events = dict(poller.poll())
        if back in events:
            worker, _, *message = back.recv_multipart()
            ready[worker] = None
            if message != [READY]:
                front.send_multipart(message)
        if front in events:
            message = front.recv_multipart()
            for worker in list(ready):
                del ready[worker]
                try:
                    back.send_multipart([worker, b"", *message])
                except zmq.ZMQError:
                    continue
                break
            else:
                front.send_multipart([*message[:2], b"nobody is there"])


def worker_that_says_ready_again(context: Context, backend: str, handle: Handle) -> None:
    """As `dealer_worker`, but it asks for work anew when it has heard nothing for a while."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    while True:
        if not socket.poll(2 * PATIENCE_MS):
            socket.send_multipart([b"", READY])
            continue
        _, client, empty, *body = socket.recv_multipart()
        socket.send_multipart([b"", client, empty, *handle(body)])


def worker_that_asks_until_it_has_work(context: Context, backend: str, handle: Handle) -> None:
    """The same until it is known: from its first work on it waits for as long as it takes."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    patience_ms: int | None = 2 * PATIENCE_MS
    while True:
        if not socket.poll(patience_ms):
            socket.send_multipart([b"", READY])
            continue
        _, client, empty, *body = socket.recv_multipart()
        patience_ms = None
        socket.send_multipart([b"", client, empty, *handle(body)])


def worker_that_has_a_name(context: Context, backend: str, handle: Handle, name: str) -> None:
    """As `dealer_worker`, but its routing id is its name."""
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.ROUTING_ID, name.encode())
    socket.connect(backend)
    socket.send_multipart([b"", READY])
    while True:
        _, client, empty, *body = socket.recv_multipart()
        socket.send_multipart([b"", client, empty, *handle(body)])


# --- servers -----------------------------------------------------------------------


def server_of_the_first_of_a_name(context: Context, endpoint: str, handle: Handle) -> None:
    """A ROUTER as it is by default: who comes under a name that it knows is not heard."""
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        client, empty, *body = router.recv_multipart()
        router.send_multipart([client, empty, *handle(body)])


def server_of_the_last_of_a_name(context: Context, endpoint: str, handle: Handle) -> None:
    """The same, but a name belongs to who came with it last."""
    router = context.socket(zmq.ROUTER)
    router.router_handover = 1
    router.bind(endpoint)
    while True:
        client, empty, *body = router.recv_multipart()
        router.send_multipart([client, empty, *handle(body)])


def server_that_answers_pings(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        body = socket.recv_multipart()
        socket.send_multipart(body if body == [PING] else handle(body))


def server_that_remembers_its_answer(context: Context, endpoint: str, handle: Handle) -> None:
    """Who asks the same again gets the same answer, and the work is not done again."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    asked: Body = []
    answer: Body = []
    while True:
        body = socket.recv_multipart()
        if body != asked:
            asked, answer = body, handle(body)
        socket.send_multipart(answer)


def server_that_logs_and_goes_on(context: Context, endpoint: str, handle: Handle) -> None:
    """M01: after an exception of the service it receives again, and owes a reply."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        body = socket.recv_multipart()
        try:
            body = handle(body)
        except RuntimeError:
            continue
        socket.send_multipart(body)


def server_that_answers_for_its_service(context: Context, endpoint: str, handle: Handle) -> None:
    """After an exception of the service, or when nothing came of it, it sends a reply that says so."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        asked = socket.recv_multipart()
        try:
            body = handle(asked)
        except RuntimeError:
            body = []
        socket.send_multipart(body or [*asked, b"failed"])


def server_that_insists(context: Context, endpoint: str, handle: Handle) -> None:
    """Wants to know when a reply cannot be delivered, and dies of the answer."""
    router = context.socket(zmq.ROUTER)
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.bind(endpoint)
    while True:
        client, empty, *body = router.recv_multipart()
        router.send_multipart([client, empty, *handle(body)])


def server_that_lets_go(context: Context, endpoint: str, handle: Handle) -> None:
    """The same, and a client that is gone needs no reply."""
    router = context.socket(zmq.ROUTER)
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.bind(endpoint)
    while True:
        client, empty, *body = router.recv_multipart()
        try:
            router.send_multipart([client, empty, *handle(body)])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise


def server_that_tells_its_name(context: Context, endpoint: str, handle: Handle, name: str) -> None:
    """Adds to each reply what it is called."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        socket.send_multipart([*handle(socket.recv_multipart()), name.encode()])


def server_that_tells_its_marks(context: Context, endpoint: str, handle: Handle) -> None:
    """Adds to each reply its HWMs, fresh and as it sets them, and how much a pipe of its own takes."""
    socket = context.socket(zmq.REP)
    marks = [socket.sndhwm, socket.rcvhwm]
    for wanted in 0, 5000, 1:
        socket.sndhwm = wanted
        marks.append(socket.sndhwm)
    socket.bind(endpoint)
    far, near = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    far.bind("inproc://far")
    near.connect("inproc://far")
    sent = 0
    while near.poll(0, zmq.POLLOUT):
        near.send(b"")
        sent += 1
    told = b"%d %d, %d %d %d, %d" % (*marks, sent)
    while True:
        socket.send_multipart([*handle(socket.recv_multipart()), told])


def server_that_drops_what_has_no_room(context: Context, endpoint: str, handle: Handle) -> None:
    """Answers in batches, and takes a full pipe for a reply that was sent."""
    _answer_in_batches(context, endpoint, handle, zmq.NOBLOCK)


def server_that_waits_for_room(context: Context, endpoint: str, handle: Handle) -> None:
    """The same, and a reply that finds no room waits for it."""
    _answer_in_batches(context, endpoint, handle, 0)


def _answer_in_batches(context: Context, endpoint: str, handle: Handle, flags: int) -> None:
    router = context.socket(zmq.ROUTER)
    router.set(zmq.ROUTER_MANDATORY, 1)  # Without it a full pipe is not even told.
    router.bind(endpoint)
    while True:
        batch = [router.recv_multipart()]
        while router.poll(20):
            batch.append(router.recv_multipart())
        for client, empty, *body in batch:
            try:
                router.send_multipart([client, empty, *handle(body)], flags)
            except zmq.Again:
                continue
