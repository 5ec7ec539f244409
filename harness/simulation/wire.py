"""What carries messages from the pipe at one end of a connection to that at the other.

    Wire     one direction of it: what the network holds
    Nowhere  what is left of that at the end which has not seen the connection break

Nothing is reordered, repeated or lost on the way as long as the connection stands.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from . import constants as c
from .pipe import Message, NetworkPipe

if TYPE_CHECKING:
    from .connection import Connection
    from .link import Way

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
        limit = target.options.maxmsgsize
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
