"""Connections over tcp and ipc: connecting, shaking hands, carrying, breaking.

    Connector   keeps up the connection that one `connect()` asked for
    Listener    what one `bind()` made
    Connection  one that was tried, and perhaps stands
    Wire        one direction of it: what the network holds
    Nowhere     what is left of that at the end which has not seen the connection break

The connecting side has its pipe from `connect()` on and keeps it over any number of
connections (5.1.2, 5.2.1); the binding side gets one per handshake and loses it with the
connection (5.1.3, 5.2.4). What the network holds when a connection breaks is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import constants as c
from .pipe import Message, NetworkPipe

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .link import Way
    from .network import Network
    from .sockets.endpoints import Endpoints

IO_THREAD_NS = 20_000
"""How long libzmq's I/O thread takes to answer its socket."""

JITTER_LEVELS = 8
"""Between how many delays a choice decides where libzmq adds a random one."""

# Which types may talk to which, over tcp and ipc; inproc asks nobody (1.11).
LEGAL_PAIRS: dict[int, frozenset[int]] = {
    c.PAIR: frozenset({c.PAIR}),
    c.PUB: frozenset({c.SUB, c.XSUB}),
    c.SUB: frozenset({c.PUB, c.XPUB}),
    c.REQ: frozenset({c.REP, c.ROUTER}),
    c.REP: frozenset({c.REQ, c.DEALER}),
    c.DEALER: frozenset({c.REP, c.DEALER, c.ROUTER}),
    c.ROUTER: frozenset({c.REQ, c.DEALER, c.ROUTER}),
    c.PULL: frozenset({c.PUSH}),
    c.PUSH: frozenset({c.PULL}),
    c.XPUB: frozenset({c.SUB, c.XSUB}),
    c.XSUB: frozenset({c.PUB, c.XPUB}),
}

ANNOUNCING = frozenset({c.REQ, c.DEALER, c.ROUTER})
"""The types that tell their routing id in the handshake."""


END: Message = []
"""In flight, what follows all messages: the sender has closed."""


def size_of(message: Message) -> int:
    """The bytes of a message, its framing left out."""
    return sum(map(len, message))


def wire_bytes(message: Message) -> int:
    """The bytes of a message as they cross: a frame has a head of two bytes, a long one of nine."""
    return sum(len(frame) + (2 if len(frame) < 256 else 9) for frame in message)


def is_reply(message: Message) -> bool:
    """Whether a REQ's connection lets a message through (5.4.4 to 5.4.6).

    The first frame must be empty with more after it, or have four bytes and an empty
    one with more behind it.
    """
    if len(message) < 2:
        return False
    if not message[0]:
        return True
    return len(message[0]) == 4 and len(message) > 2 and not message[1]


class Wire:
    """One direction of a connection: first in, first out, bounded in bytes.

    Attributes:
        source, target: The pipes at its ends.
        is_stuck: What has arrived waits: for the handshake, a release, or room where it arrives.
    """

    __slots__ = (
        "_bytes", "_capacity", "_crossing", "_in_flight", "_is_armed", "_scheduler", "_shown",
        "connection", "is_stuck", "source", "target", "way",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, way: Way, source: NetworkPipe, target: NetworkPipe
    ) -> None:
        self.connection = connection
        self.way = way
        self.source = source
        self.target = target
        self._scheduler = way.scheduler
        self._capacity = connection.network.buffer_bytes
        self._in_flight: deque[tuple[int, Message]] = deque()
        self._bytes = 0  # Of what is in flight; counted only while that is more than one.
        # Where bytes cross slowly: when each of the last in flight has crossed, and its latency.
        self._crossing: deque[tuple[int, int]] = deque()
        self._shown: Message | None = None  # Which message was last shown to who looks.
        # Nothing arrives before the handshake has, which then unsticks it.
        self.is_stuck = True
        self._is_armed = True  # A timer is set for the first in flight, or it is stuck.
        way.wires.append(self)

    def take(self, message: Message) -> bool:
        """Carry a message, unless the network is full. An empty one takes any size."""
        in_flight = self._in_flight
        if in_flight and not self._has_room(message):
            return False
        way = self.way
        arrival_ns = self._scheduler.now_ns + way.latency_ns()
        if way.bytes_per_s is not None:
            arrival_ns = self._crosses_ns(message, way.bytes_per_s, arrival_ns)
        if in_flight and arrival_ns < in_flight[-1][0]:
            arrival_ns = in_flight[-1][0]
        in_flight.append((arrival_ns, message))
        if not self._is_armed:
            self._is_armed = True
            self._scheduler.push(arrival_ns, Wire._arrive, self)
        return True

    def _has_room(self, message: Message) -> bool:
        in_flight = self._in_flight
        if len(in_flight) == 1:
            self._bytes = size_of(in_flight[0][1])
        size = size_of(message)
        if self._bytes + size > self._capacity and message is not END:
            return False
        self._bytes += size
        return True

    def _crosses_ns(self, message: Message, bytes_per_s: int, arrival_ns: int) -> int:
        """When a message arrives that has to wait for those before it to cross, and then crosses."""
        now_ns, crossing = self._scheduler.now_ns, self._crossing
        while crossing and crossing[0][0] <= now_ns:
            crossing.popleft()
        begins_ns = crossing[-1][0] if crossing else now_ns
        crossed_ns = begins_ns + wire_bytes(message) * c.NS_PER_S // bytes_per_s
        crossing.append((crossed_ns, arrival_ns - now_ns))
        return crossed_ns + arrival_ns - now_ns

    def reschedule(self, before: int) -> None:
        """So many bytes crossed in a second: what has not yet crossed does by the new bandwidth."""
        now_ns, after = self._scheduler.now_ns, self.way.bytes_per_s
        crossing = [entry for entry in self._crossing if entry[0] > now_ns]
        self._crossing.clear()
        if not crossing:
            return
        messages = [self._in_flight.pop()[1] for _ in crossing]
        arrival_ns = self._in_flight[-1][0] if self._in_flight else 0
        for crosses_ns, latency_ns in crossing:
            # From now on the line is never idle, so what is left of each takes as much longer.
            left_ns = 0 if after is None else (crosses_ns - now_ns) * before // after
            arrival_ns = max(arrival_ns, now_ns + left_ns + latency_ns)
            self._in_flight.append((arrival_ns, messages.pop()))
            if after is not None:
                self._crossing.append((now_ns + left_ns, latency_ns))
        if not self.is_stuck:
            self._scheduler.push(self._in_flight[0][0], Wire._arrive, self)

    def finish(self) -> None:
        """The sender closes its end: the receiver learns of it after all messages."""
        self.take(END)

    def unstick(self) -> None:
        """The handshake is done, the way released, or there may be room again."""
        if self.is_stuck and not self.way.is_held and self.target.delivered < self.target.stop_at:
            self.is_stuck = self._is_armed = False
            if self._in_flight:
                self._is_armed = True
                self._scheduler.push(self._in_flight[0][0], Wire._arrive, self)

    def _arrive(self) -> None:
        in_flight = self._in_flight
        way, target = self.way, self.target
        now_ns = self._scheduler.now_ns
        while in_flight:
            arrival_ns, message = in_flight[0]
            if arrival_ns > now_ns:
                self._scheduler.push(arrival_ns, Wire._arrive, self)
                break
            if way.is_held or (target.delivered >= target.stop_at and message is not END):
                self.is_stuck = True
                break
            if way.look is not None and message is not self._shown and message is not END:
                self._shown = message
                way.look(message, False)
                continue  # It may be held by now, or lost.
            in_flight.popleft()
            if in_flight:
                self._bytes -= size_of(message)
            if message is END:
                self.connection.finished_at(target)
            elif not target.is_watched or self._passes(target, message):
                target.delivered += 1
                target.put(message)
                if way.look is not None:
                    way.look(message, True)
        else:
            self._is_armed = False
        if self.source.backlog:
            self.source.pump()

    def _passes(self, target: NetworkPipe, message: Message) -> bool:
        """Whether what has arrived is a message for the receiving pipe."""
        socket = target.socket
        if target.is_removed:
            socket.drop(target.gone_because, message)
            return False
        limit = socket.options.maxmsgsize
        if (socket.type != c.REQ or is_reply(message)) and (
            limit < 0 or all(len(frame) <= limit for frame in message)
        ):
            return True
        socket.drop("malformed", message)
        self.connection.refuse_at(target)
        return False

    def lose(self) -> None:
        """The connection has broken: what was in flight is lost."""
        for _, message in self._in_flight:
            self.source.socket.drop("peer lost", message)
        self._in_flight.clear()
        self._shown = None
        if self in self.way.wires:
            self.way.wires.remove(self)


class Nowhere:
    """Where messages go on a connection that is half open: they are taken, and lost.

    A real kernel keeps what nobody confirms, and takes no more once it is full; that is left out.
    """

    __slots__ = ("_source", "connection")

    def __init__(self, connection: Connection, source: NetworkPipe) -> None:
        self.connection = connection
        self._source = source

    def take(self, message: Message) -> bool:
        """Lose a message."""
        self._source.socket.drop("peer lost", message)
        return True

    def finish(self) -> None:
        """The only end that there is closes."""
        self.connection.dispose()

    def lose(self) -> None:
        """Nothing is in flight."""


class Listener:
    """What one `bind()` made over tcp or ipc.

    Attributes:
        socket, endpoint, text: Who listens where; the endpoint as a text.
        announced_id: The routing id at the time of the bind.
        connections: Those that came in and stand.
    """

    def __init__(self, socket: Endpoints, endpoint: Endpoint) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.text = str(endpoint)
        self.announced_id = socket.options.routing_id
        self.connections: dict[Connection, None] = {}
        self.is_closed = False


class Connector:
    """Keeps up the connection that one `connect()` asked for.

    Attributes:
        pipe: The socket's end; None while IMMEDIATE waits for the handshake.
        connection: The one that stands or is being made.
    """

    def __init__(self, network: Network, socket: Endpoints, endpoint: Endpoint, text: str) -> None:
        self.network = network
        self.socket = socket
        self.endpoint = endpoint
        self.text = text
        options = socket.options
        # libzmq copies the options at connect(); later changes are for later connections.
        self.announced_id = options.routing_id
        self.is_immediate = bool(options.immediate)
        self.interval_ms = options.reconnect_ivl
        self.interval_max_ms = options.reconnect_ivl_max
        self.handshake_ms = options.handshake_ivl
        self.wanted_id = options.connect_routing_id
        self._current_ms = -1
        self.pipe: NetworkPipe | None = None
        self.connection: Connection | None = None
        self.is_stopped = False
        if not self.is_immediate:
            self.pipe = self.new_pipe()

    def new_pipe(self) -> NetworkPipe:
        """The socket's end of the connection, as the socket will see it."""
        pipe = NetworkPipe(self.socket, self, self.text)
        pipe.wanted_id = self.wanted_id
        return pipe

    def start(self) -> None:
        """Try to connect."""
        if self.is_stopped:
            return
        self.socket.event(c.EVENT_CONNECT_DELAYED, c.EINPROGRESS, self.text)
        listener = self.network.find(self.endpoint)
        if listener is None or self.network.is_cut(self.socket.node, listener.socket.node):
            self._later(self.network.refusal_ns, Connector.refused)
            return
        self.connection = Connection(self, listener)
        self.connection.begin()

    def refused(self) -> None:
        """Nobody listens there, or nothing gets through."""
        if self.is_stopped:
            return
        self.connection = None
        self.socket.event(c.EVENT_CLOSED, 0, self.text)
        self.retry()

    def retry(self) -> None:
        """Try again after the reconnect interval (5.2.7); an interval of 0 is never, as -1 is."""
        if self.interval_ms <= 0 or self.is_stopped:
            return
        delay_ns = self._next_interval_ns()
        self.socket.event(c.EVENT_CONNECT_RETRIED, delay_ns // c.NS_PER_MS, self.text)
        self._later(delay_ns, Connector.start)

    def _later(self, delay_ns: int, step: Callable[[Connector], object]) -> None:
        scheduler = self.network.scheduler
        scheduler.push(scheduler.now_ns + delay_ns, step, self)

    def _next_interval_ns(self) -> int:
        base_ms = self.interval_ms
        if self.interval_max_ms > 0:
            # With a maximum, be it below the interval, that doubles and has no random part.
            doubled_ms = base_ms if self._current_ms < 0 else self._current_ms * 2
            self._current_ms = min(doubled_ms, self.interval_max_ms)
            return self._current_ms * c.NS_PER_MS
        jitter = self.network.choices.choose(JITTER_LEVELS, "reconnect jitter")
        interval_ns = base_ms * c.NS_PER_MS + base_ms * c.NS_PER_MS * jitter // JITTER_LEVELS
        if jitter:
            wait_ms = interval_ns / c.NS_PER_MS
            self.network.choices.tell(f"{self.socket.node} waits {wait_ms:g} ms to connect again")
        return interval_ns

    def established(self) -> None:
        """A handshake has succeeded: the next failure starts from the least interval."""
        self._current_ms = -1

    def lost(self) -> None:
        """The connection has broken; the pipe stays, but with IMMEDIATE it goes (5.2.3)."""
        self.connection = None
        if self.is_immediate and self.pipe is not None:
            pipe, self.pipe = self.pipe, None
            pipe.socket.drop_all("peer lost", pipe.backlog)
            pipe.put_end()
        if self.interval_ms <= 0 and self.pipe is not None:
            self.stop()
            self.socket.mailbox.post(self.socket.command_terminate, self.pipe)
        self.retry()

    def stop(self) -> None:
        """Never try again."""
        self.is_stopped = True


class Connection:
    """One attempt to connect, and what came of it.

    The steps of a handshake take a latency each: the listener accepts, the connector
    is connected, the listener's handshake is done, the connector's is.

    Attributes:
        near, far: The pipe ends of the connector and of the listener.
        is_over: It was refused, closed or has broken.
        left: Of one that is half open, the end that has not seen it break.
    """

    def __init__(self, connector: Connector, listener: Listener) -> None:
        self.network = connector.network
        self.connector = connector
        self.listener = listener
        near_node, far_node = connector.socket.node, listener.socket.node
        self.out_way = self.network.way(near_node, far_node)
        self.back_way = self.network.way(far_node, near_node)
        self.near: NetworkPipe | None = connector.pipe
        self.far: NetworkPipe | None = None
        self.is_over = False
        self.is_standing = False
        self.left: NetworkPipe | None = None
        self.number = self.network.next_connection()
        self._limit = None
        if connector.handshake_ms:
            limit_ns = connector.handshake_ms * c.NS_PER_MS
            self._limit = self.network.scheduler.call_later(limit_ns, self.reset)

    # --- handshake ------------------------------------------------------------

    def begin(self) -> None:
        """The connector knocks."""
        self.listener.connections[self] = None
        self.out_way.carry(Connection._accept, self)

    def _accept(self) -> None:
        if self.is_over:
            return
        self.listener.socket.event(c.EVENT_ACCEPTED, self.number, self.listener.text)
        self.back_way.carry(Connection._connect, self)

    def _connect(self) -> None:
        if self.is_over:
            return
        self.connector.socket.event(c.EVENT_CONNECTED, self.number, self.connector.text)
        self.out_way.carry(Connection._greet, self)

    def _greet(self) -> None:
        if self.is_over:
            return
        near, far = self.connector.socket, self.listener.socket
        if far.type not in LEGAL_PAIRS.get(near.type, ()):
            far.event(c.EVENT_DISCONNECTED, self.number, self.listener.text)
            self.back_way.carry(Connection._reject, self)
            return
        if self.near is None:
            self.near = self.connector.pipe = self.connector.new_pipe()
        pipe = self.far = NetworkPipe(far, None, near)
        if near.type in ANNOUNCING:
            pipe.announced_id = self.connector.announced_id
        pipe.is_introduced = True
        pipe.source = Wire(self, self.out_way, self.near, pipe)
        pipe.wire = Wire(self, self.back_way, pipe, self.near)
        far.event(c.EVENT_HANDSHAKE_SUCCEEDED, 0, self.listener.text)
        far.note("connected", near, self.listener.text)
        far.mailbox.post(far.command_attach, pipe)
        self.back_way.carry(Connection._establish, self)

    def _establish(self) -> None:
        if self.is_over:
            return
        pipe, far_pipe = self.near, self.far
        assert pipe is not None
        assert far_pipe is not None
        socket, far = self.connector.socket, self.listener.socket
        self.is_standing = True
        if self._limit is not None:
            self._limit.cancel()
        self.connector.established()
        out, back = far_pipe.source, far_pipe.wire
        assert out is not None
        assert isinstance(back, Wire)
        pipe.wire, pipe.source = out, back
        if far.type in ANNOUNCING:
            pipe.announced_id = self.listener.announced_id
        is_first = not pipe.is_introduced
        pipe.is_introduced = True
        socket.event(c.EVENT_HANDSHAKE_SUCCEEDED, 0, self.connector.text)
        socket.note("connected", far, self.connector.text)
        if self.connector.is_immediate:
            command: Callable[[NetworkPipe], None] = socket.command_attach
        else:
            command = socket.command_identify if is_first else socket.command_resume
        socket.mailbox.post(command, pipe)
        pipe.restart_count()
        out.unstick()
        back.unstick()
        pipe.pump()

    def _reject(self) -> None:
        if self.is_over:
            return
        self._end()
        socket = self.connector.socket
        socket.event(c.EVENT_DISCONNECTED, self.number, self.connector.text)
        self.connector.stop()
        if self.near is not None:
            socket.mailbox.post(socket.command_terminate, self.near)

    # --- ends -----------------------------------------------------------------

    def _end(self) -> None:
        self.is_over = True
        self.is_standing = False
        if self._limit is not None:
            self._limit.cancel()
        self.listener.connections.pop(self, None)
        self.network.half_open.pop(self, None)
        if self.connector.connection is self:
            self.connector.connection = None

    def _lose_wires(self) -> None:
        # The connector's end is another connection's by now if only the binder's is left.
        for pipe in (self.near, self.far) if self.left is None else (self.left,):
            if pipe is not None:
                wire, pipe.wire, pipe.source = pipe.wire, None, None
                if wire is not None:
                    wire.lose()

    def dispose(self) -> None:
        """Let go of both ends without a word."""
        self._end()
        self._lose_wires()

    def reset(self, seen_by: str = "both") -> None:
        """It breaks; what was in flight is lost.

        Args:
            seen_by: `both` sides; or the `connector` or the `binder` alone, and the other keeps
                what leads nowhere. Before the handshake is done it has nothing to keep.
        """
        if self.is_over:
            return
        sees_near, sees_far = seen_by != "binder", seen_by != "connector"
        if self.left is not None:
            if sees_near if self.left is self.near else sees_far:
                self._lose_left()
        elif self.is_standing and seen_by != "both":
            self._half_open(self.far if sees_near else self.near)
        else:
            self._end()
            self._lose_wires()
            self._lost_far()
            self._lost_near()

    def _half_open(self, left: NetworkPipe | None) -> None:
        assert left is not None
        self._lose_wires()
        self.left = left
        self.network.half_open[self] = None
        left.wire = Nowhere(self, left)
        if left is self.near:
            del self.listener.connections[self]
            self._lost_far()
        else:
            self._lost_near()
        if left.silence_ms is not None:
            self.network.scheduler.call_later(left.silence_ms * c.NS_PER_MS, self._lose_left)
        left.pump()

    def _lose_left(self) -> None:
        if self.is_over:
            return
        self._end()
        self._lose_wires()
        if self.left is self.near:
            self._lost_near()
        else:
            self._lost_far()

    def finished_at(self, pipe: NetworkPipe) -> None:
        """One side learns that the other has closed."""
        if self.is_over:
            return
        self._end()
        self._lose_wires()
        if pipe is self.near:
            self._lost_near()
        else:
            self._lost_far()

    def refuse_at(self, pipe: NetworkPipe) -> None:
        """One side closes because of what the other has sent: a protocol error, for good.

        The connector does not try again (5.4.4); a connector at the other side does.
        """
        if self.is_over:
            return
        self._end()
        self._lose_wires()
        socket = pipe.socket
        if pipe is self.near:
            socket.event(c.EVENT_DISCONNECTED, self.number, self.connector.text)
            self.connector.stop()
            socket.mailbox.post(socket.command_terminate, pipe)
            self._lost_far()
        else:
            self._lost_far()
            self._lost_near()

    def _lost_near(self) -> None:
        if self.connector.is_stopped:
            return
        socket = self.connector.socket
        socket.event(c.EVENT_DISCONNECTED, self.number, self.connector.text)
        if self.near is not None and self.far is not None:
            socket.note("disconnected", self.near.peer, self.connector.text)
        self.connector.lost()

    def _lost_far(self) -> None:
        pipe = self.far
        if pipe is None or (pipe.socket.is_closed and not pipe.is_lingering):
            return
        socket = pipe.socket
        socket.event(c.EVENT_DISCONNECTED, self.number, self.listener.text)
        socket.note("disconnected", pipe.peer, self.listener.text)
        socket.drop_all("peer lost", pipe.backlog)
        if pipe.is_lingering:
            socket.lingered(pipe)
        elif not pipe.is_removed:
            pipe.put_end()

    def close_from(self, pipe: NetworkPipe) -> None:
        """One side has sent all that it had and closes."""
        if self.is_over:
            return
        if pipe.wire is not None:
            pipe.wire.finish()
        elif not self.is_standing:
            # Closed in the middle of the handshake.
            self._end()
            self._lose_wires()
            self._lost_far()
