"""Connections over tcp and ipc: connecting, shaking hands, breaking.

    Connector   keeps up the connection that one `connect()` asked for
    Listener    what one `bind()` made
    Connection  one that was tried, and perhaps stands; two wires carry (`wire.py`)

The connecting side has its pipe from `connect()` on and keeps it over any number of
connections (5.1.2, 5.2.1); the binding side gets one per handshake and loses it with the
connection (5.1.3, 5.2.4). What the network holds when a connection breaks is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import constants as c
from .pipe import NetworkPipe
from .wire import Nowhere, Wire

if TYPE_CHECKING:
    from .endpoint import Endpoint
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


class Listener:
    """What one `bind()` made over tcp or ipc.

    Attributes:
        socket, endpoint, text: Who listens where; the endpoint as a text.
        options: Those at the time of the bind; later changes are for later binds.
        connections: Those that came in and stand.
    """

    def __init__(self, socket: Endpoints, endpoint: Endpoint) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.text = str(endpoint)
        self.options = socket.options.copy()
        self.connections: dict[Connection, None] = {}
        self.is_closed = False


class Connector:
    """Keeps up the connection that one `connect()` asked for.

    Attributes:
        options: Those at the time of the connect; later changes are for later connects.
        pipe: The socket's end; None while IMMEDIATE waits for the handshake.
        connection: The one that stands or is being made.
    """

    def __init__(self, network: Network, socket: Endpoints, endpoint: Endpoint, text: str) -> None:
        self.network = network
        self.socket = socket
        self.endpoint = endpoint
        self.text = text
        options = self.options = socket.options.copy()
        self.is_immediate = bool(options.immediate)
        self.interval_ms = options.reconnect_ivl
        self.interval_max_ms = options.reconnect_ivl_max
        self._current_ms = -1
        self.pipe: NetworkPipe | None = None
        self.connection: Connection | None = None
        self.is_stopped = False
        if not self.is_immediate:
            self.pipe = self.new_pipe()
            # It names one peer, that of this connect(); where the pipe comes later, of the next.
            self.pipe.wanted_id = options.connect_routing_id
            socket.options.connect_routing_id = b""

    def new_pipe(self) -> NetworkPipe:
        """The socket's end of the connection, as the socket will see it."""
        return NetworkPipe(self.socket, self.options, self, self.text)

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
            self.socket.mailbox.post(self.socket.command_broken, pipe)
        if self.interval_ms <= 0:
            self.stop()
            self.socket.mailbox.post(self.socket.command_disconnect, self.text)
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
        if handshake_ms := connector.options.handshake_ivl:
            limit_ns = handshake_ms * c.NS_PER_MS
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
        pipe = self.far = NetworkPipe(far, self.listener.options, None, near)
        if near.type in ANNOUNCING:
            pipe.announced_id = self.connector.options.routing_id
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
            pipe.announced_id = self.listener.options.routing_id
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
        other = self.far if left is self.near else self.near
        assert other is not None
        for limit_ms in (left.silence_ms, other.ttl_ms):
            if limit_ms is not None:
                self.network.scheduler.call_later(limit_ms * c.NS_PER_MS, self._lose_left)
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
