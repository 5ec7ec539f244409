"""What passes through a relay: its doors, the connections that came in there, and when what is due.

    Traffic     all of it, and what waits for it
    Door        where one node comes in to get to an endpoint that another has bound
    Connection  what came in at a door, and what it is continued by
    HalfOpen    what one side keeps of it that has not seen it break

All of this belongs to the thread of the relay.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from time import monotonic

from .wire import Way, Wire

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

BUFFER_BYTES = 256 * 1024
"""How much is taken from a socket at once."""

BACKLOG = 128
"""How many may knock at a door at once."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Address = tuple[str, int] | str
"""Of a socket: host and port over tcp, a path over ipc."""


class Traffic:
    """See the top of this file.

    Args:
        seed: What latencies are drawn from.

    Attributes:
        selector: Waits for all sockets; with each, what is called with what it is ready for.
        buffer: Where bytes pass through.
        connections: Those that stand, in the order in which they came.
    """

    def __init__(self, seed: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self.connections: dict[Connection | HalfOpen, None] = {}
        self._seed = seed
        self._ways: dict[tuple[str, str], Way] = {}
        self._due: list[tuple[float, int, Connection | HalfOpen]] = []
        self._numbers = count()

    def way(self, source: str, target: str) -> Way:
        """The way from one node to another."""
        found = self._ways.get((source, target))
        if found is None:
            found = self._ways[source, target] = Way(source, target, self._seed)
        return found

    def between(self, pair: frozenset[str]) -> list[Connection | HalfOpen]:
        """The connections between two nodes."""
        return [connection for connection in self.connections if connection.pair == pair]

    def at(self, due_s: float, connection: Connection | HalfOpen) -> None:
        """Let a connection pass on what is due then."""
        heappush(self._due, (due_s, next(self._numbers), connection))

    def pass_on(self) -> None:
        """Wait until something can go on, and let it."""
        idle_s = max(0.0, self._due[0][0] - monotonic()) if self._due else None
        for key, events in self.selector.select(idle_s):
            key.data(events)
        while self._due and self._due[0][0] <= monotonic():
            heappop(self._due)[2].is_due()

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self.connections):
            connection.close()
        self._due.clear()
        self.selector.close()


class Door:
    """Where one node comes in to get to an endpoint that another has bound.

    Args:
        traffic: What it belongs to.
        node, binder: The two nodes.
        leads_to: The endpoint.
        folder: Where ipc sockets lie; None over tcp.
        number: Tells it from other doors.

    Attributes:
        pair: The two nodes.
        endpoint: Where the node is led.
    """

    endpoint: str

    def __init__(
        self,
        traffic: Traffic,
        node: str,
        binder: str,
        leads_to: str,
        folder: Path | None,
        number: int,
    ) -> None:
        self._traffic = traffic
        self.node = node
        self.binder = binder
        self.pair = frozenset((node, binder))
        self._socket: socket.socket | None = None
        self._is_listening = False
        transport, _, place = leads_to.partition("://")
        self.family = socket.AF_INET if transport == "tcp" else socket.AF_UNIX
        self.leads_to: Address
        self._address: Address
        if transport == "tcp":
            host, _, port = place.rpartition(":")
            self.leads_to = (host, int(port))
            self._address = ("127.0.0.1", 0)
            self._bind()
            assert self._socket is not None
            self._address = self._socket.getsockname()
            self.endpoint = "tcp://{}:{}".format(*self._address)
        else:
            self.leads_to = place
            self._address = f"{folder}/relay.{number}"
            self.endpoint = f"ipc://{self._address}"

    def open(self) -> None:
        """Let in who knocks."""
        if self._socket is None:
            self._bind()
        assert self._socket is not None
        if not self._is_listening:
            self._socket.listen(BACKLOG)
            self._traffic.selector.register(self._socket, READ, self._let_in)
            self._is_listening = True

    def shut(self) -> None:
        """Refuse who knocks, and keep the address.

        A tcp port stays ours by a socket that is bound and does not listen; an ipc path is
        in a folder of ours.
        """
        self.close()
        if self.family == socket.AF_INET:
            self._bind()

    def _bind(self) -> None:
        self._socket = socket.socket(self.family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        self._socket.bind(self._address)

    def close(self) -> None:
        """Give the address up."""
        if self._is_listening:
            self._traffic.selector.unregister(self._socket)  # type: ignore[arg-type]
            self._is_listening = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if isinstance(self._address, str):
                Path(self._address).unlink(missing_ok=True)

    def _let_in(self, _events: int) -> None:
        if not self._is_listening:
            return  # It was shut a moment ago.
        assert self._socket is not None
        try:
            near, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # Whoever knocked has left.
        try:
            Connection(self._traffic, self, near)
        except OSError:
            near.close()
            raise


class Connection:
    """One connection that came in at a door, and the one that it is continued by.

    Attributes:
        pair: The nodes at its ends.
        is_made: Whether there is one to the endpoint as well.
    """

    def __init__(self, traffic: Traffic, door: Door, near: socket.socket) -> None:
        self._traffic = traffic
        self.pair = door.pair
        self.is_made = False
        self._is_closed = False
        self._armed_s: float | None = None  # When the relay will call `is_due`.
        self._near = near
        self._far = socket.socket(door.family, socket.SOCK_STREAM)
        self._masks = {near: 0, self._far: 0}
        self._out = Wire(traffic.way(door.node, door.binder), near, self._far)
        self._back = Wire(traffic.way(door.binder, door.node), self._far, near)
        traffic.connections[self] = None
        for end in near, self._far:
            end.setblocking(False)
            if door.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status = self._far.connect_ex(door.leads_to)
        if status in (0, errno.EINPROGRESS):
            self._watch(self._far, WRITE)
        else:
            self.reset()

    def reset(self, seen_by: str = "both") -> None:
        """Break it: what is on its way is lost.

        Args:
            seen_by: `both` sides; or the `connector` or the `binder` alone, and the other keeps
                what leads nowhere.
        """
        kept = {"connector": self._far, "binder": self._near}.get(seen_by) if self.is_made else None
        for end in self._near, self._far:
            if end is not kept:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close(kept)
        if kept is not None:
            kept_by = "binder" if kept is self._far else "connector"
            HalfOpen(self._traffic, self.pair, kept, kept_by)

    def close(self, kept: socket.socket | None = None) -> None:
        """Let go of both ends, and close them but for one that is kept."""
        if not self._is_closed:
            self._is_closed = True
            del self._traffic.connections[self]
            for wire in self._out, self._back:
                wire.lose()
            for end in self._near, self._far:
                self._watch(end, 0)
                if end is not kept:
                    end.close()

    def pump(self) -> None:
        """Pass on what may go now."""
        self._out.pump()
        self._back.pump()
        self._settle()

    def is_due(self) -> None:
        """The time has come for which `Traffic.at` was asked."""
        self._armed_s = None
        if not self._is_closed:
            self.pump()

    def _near_ready(self, events: int) -> None:
        self._ready(events, self._out, self._back)

    def _far_ready(self, events: int) -> None:
        if not self.is_made:
            self._be_made()
        else:
            self._ready(events, self._back, self._out)

    def _ready(self, events: int, comes: Wire, goes: Wire) -> None:
        """Something has come at an end, or it takes what goes there."""
        if self._is_closed:
            return
        if events & READ and comes.read(self._traffic.buffer) and not events & WRITE:
            return  # As nearly always: what is waited for stays the same.
        if events & WRITE:
            goes.resume()
        self._settle()

    def _be_made(self) -> None:
        if self._is_closed:
            return
        if self._far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.reset()  # Nobody is there; who connects hears of it and tries again.
        else:
            self.is_made = True
            self._settle()

    def _settle(self) -> None:
        """Wait for what can go on."""
        out, back = self._out, self._back
        if self._is_closed:
            return  # By what was done upon a message that it has passed on.
        if out.is_over and back.is_over:
            self.close()
            return
        if not self.is_made:
            return
        self._watch(self._near, READ * out.wants_to_read | WRITE * back.wants_to_write)
        self._watch(self._far, READ * back.wants_to_read | WRITE * out.wants_to_write)
        for wire in out, back:
            due_s = wire.due_s
            if due_s is not None and (self._armed_s is None or due_s < self._armed_s):
                self._armed_s = due_s
                self._traffic.at(due_s, self)

    def _watch(self, end: socket.socket, mask: int) -> None:
        selector = self._traffic.selector
        if mask == self._masks[end]:
            return
        if not self._masks[end]:
            ready = self._near_ready if end is self._near else self._far_ready
            selector.register(end, mask, ready)
        elif mask:
            selector.modify(end, mask, selector.get_key(end).data)
        else:
            selector.unregister(end)
        self._masks[end] = mask


class HalfOpen:
    """What one side keeps of a connection that the other has seen break: it leads nowhere.

    It is as behind a firewall that has forgotten the connection: whatever is sent is lost, and
    nothing comes back. (The kernel confirms it, so the sender never has to wait.)

    Attributes:
        pair: The nodes that it was between.
        is_made: That there is something to break.
    """

    is_made = True

    def __init__(
        self, traffic: Traffic, pair: frozenset[str], end: socket.socket, kept_by: str
    ) -> None:
        self._traffic = traffic
        self.pair = pair
        self._end = end
        self._kept_by = kept_by
        self._is_closed = False
        traffic.connections[self] = None
        traffic.selector.register(end, READ, self._ready)

    def reset(self, seen_by: str = "both") -> None:
        """Break it as well, if whoever keeps it is to see that."""
        if seen_by in ("both", self._kept_by):
            self._end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close()

    def close(self) -> None:
        self._is_closed = True
        del self._traffic.connections[self]
        self._traffic.selector.unregister(self._end)
        self._end.close()

    def is_due(self) -> None:
        """There is nothing to pass on."""

    def _ready(self, _events: int) -> None:
        """Something has come, which is lost, or the end."""
        if self._is_closed:
            return
        try:
            size = self._end.recv_into(self._traffic.buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.close()
