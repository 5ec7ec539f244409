"""Pipes: what a socket sees of a connection.

A pipe end belongs to one socket. Messages are whole: one list of frames, counted as
one, so no limit ever splits them. How full a pipe is, is the sender's view of it:
what it has written less what the reader has reported; the reader reports only
every so many messages (the low-water mark), so that view is conservative.

    inproc   the limit is the sender's SNDHWM plus the receiver's RCVHWM, as they were at
             connect() and at bind(); 0 on either side is none; before there is a binder,
             the sender's SNDHWM alone
    network  SNDHWM up to the network, what the network holds, then RCVHWM

Source: docs/clauses.md, 5.1 and 5.5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import constants as c
from .rotation import NOWHERE

if TYPE_CHECKING:
    from .connection import Connector
    from .options import Options
    from .sockets.endpoints import Endpoints
    from .wire import Nowhere, Wire

Message = list[bytes]

NEVER = -1
ENDLESS = 1 << 62
"""More messages than any run has."""

DEFAULT_LIMIT = 1000
"""SNDHWM and RCVHWM of a fresh socket."""

ANNOUNCEMENT: Message = []
"""A routing id that nobody wants any more, such as that of a peer that CONNECT_ROUTING_ID has
named. libzmq leaves it in the pipe: no program sees it, but it takes a turn when it is read. Over
the network the simulation leaves it out."""


def low_water_mark(limit: int) -> int:
    """After how many messages the reader of a pipe with this limit reports (5.5.4)."""
    return (limit + 1) // 2


class Pipe:
    """One end of a connection; `InprocPipe` and `NetworkPipe` say where messages go.

    Attributes:
        socket: Whose end it is.
        routing_id: What a ROUTER calls the peer; None while it does not know.
        inbound: What has arrived.
        is_asleep: The socket found nothing here, so the next message has to tell it.
        is_ended: Nothing will arrive after what has.
        is_open: Whether messages can still go out.
        is_removed: The socket has forgotten it.
        is_watched: What arrives may be no message for the socket: it was removed, or is strict.
        limit: After how many messages the sender's side is full; 0 is never.
        written, credit, read, report_at: What was sent, what of it is known to be read,
            what was read here, and after how many that is reported.
        told_at: How many were read at the last report, be it that it was at the beginning.
        full_at: After how many written messages the sender finds no room. Once it has found
            none it is 0, and the next report makes room; so it is with a pipe that is closed.
        in_slot, out_slot: Its place in the fair queue and the load balancer.
    """

    __slots__ = (
        "announced_id", "credit", "full_at", "gone_because", "has_end", "in_slot", "inbound", "is_acknowledged",
        "is_asleep", "is_end_read", "is_ended", "is_introduced", "is_leaving", "is_misread", "is_open", "is_removed", "is_watched",
        "limit", "mailbox", "on_message", "out_slot", "read", "report_at", "report_step",
        "routing_id", "socket", "subscriptions", "told_at", "wanted_id", "written",
    )  # fmt: skip

    transport = ""

    def __init__(self, socket: Endpoints) -> None:
        self.socket = socket
        self.mailbox = socket.mailbox
        # The command that tells the socket that a pipe which slept has something.
        self.on_message: Callable[[Pipe], object] = socket.command_read
        self.routing_id: bytes | None = None
        self.announced_id: bytes = b""  # What the peer calls itself, if it does.
        self.wanted_id = b""  # CONNECT_ROUTING_ID, if one was set for this pipe.
        self.inbound: deque[Message] = deque()
        self.is_asleep = False
        self.is_ended = False
        self.has_end = False  # The end is there to be read, perhaps before the socket hears of it.
        self.is_end_read = False
        self.is_acknowledged = False  # The end was read, and the other side was told.
        self.is_open = True
        self.is_removed = False
        self.is_watched = False
        self.is_leaving = False  # This end was given up, and the other has not agreed yet.
        self.is_introduced = False  # Whether the peer has said what it calls itself.
        self.is_misread = False  # Whether a probe is where the peer's routing id is expected.
        self.gone_because = "peer lost"  # Why what arrives after the end is dropped.
        self.limit = 0
        self.full_at = ENDLESS
        self.written = 0
        self.credit = 0
        self.read = 0
        self.report_step = 0
        self.report_at = NEVER
        self.told_at = NEVER
        self.in_slot = NOWHERE
        self.out_slot = NOWHERE
        self.subscriptions: dict[bytes, None] = {}  # Of the peer, kept by PUB and XPUB.

    @property
    def peer_name(self) -> str:
        """Whom a person would say is at the other end."""
        raise NotImplementedError

    # --- writing --------------------------------------------------------------

    def is_writable(self) -> bool:
        """Whether the sender believes that there is room for one more message."""
        if self.written < self.full_at:
            return True
        self.full_at = 0
        return False

    def has_room(self) -> bool:
        """Whether the limit lets one more message in, be the pipe open or not."""
        return not self.limit or self.written - self.credit < self.limit

    def write(self, message: Message) -> None:
        """Send a whole message; whoever calls has asked `is_writable`."""
        raise NotImplementedError

    def close_out(self) -> None:
        """Nothing goes out any more."""
        self.is_open = False
        self.full_at = 0

    def set_limit(self, limit: int) -> None:
        """The limit of what goes out. A pipe that was found full stays so until the next report."""
        self.limit = limit
        if self.full_at:
            self.full_at = self.credit + limit if limit else ENDLESS

    def count(self, read: int) -> bool:
        """The reader has reported; whether that makes room in a pipe that was found full."""
        was_full = not self.full_at
        self.credit = read
        if self.is_open:
            self.full_at = read + self.limit if self.limit else ENDLESS
        return was_full and self.is_open

    # --- reading --------------------------------------------------------------

    def put(self, message: Message) -> None:
        """A message has arrived here."""
        self.inbound.append(message)
        if self.is_asleep:
            self.is_asleep = False
            self.mailbox.post(self.on_message, self)

    def put_end(self) -> None:
        """Nothing more will arrive: the socket hears of it at its next call."""
        self.has_end = True
        self.mailbox.post(self.socket.command_ended, self)

    def set_inbound_limit(self, limit: int) -> None:
        """The limit of what arrives here, which says how often the reader reports."""
        self.report_step = low_water_mark(limit)
        step = self.report_step
        self.told_at = self.read - self.read % step if step else NEVER
        self.report_at = self.told_at + step

    def report(self) -> None:
        """The reader has read `report_at` messages: the sender may be told."""
        self.told_at = self.report_at
        self.report_at += self.report_step
        self.tell_read(self.read)

    def report_again(self) -> None:
        """A message of several frames begins right after a report, or a routing id is read.

        libzmq asks with each frame whether as many messages were read as it reports
        (`pipe_t::read`), so it says once more what it said last. Only over inproc that may be news
        to somebody: to a sender that has found no room and whose limit is raised.
        """

    def tell_read(self, read: int) -> None:
        """Bring the report to the sender."""
        raise NotImplementedError


class InprocPipe(Pipe):
    """One end of two queues inside one context; what is written is there at once.

    Attributes:
        peer: The other end.
        is_bound: False while the name it was connected to is bound by nobody.
        peer_limits: What the peer adds to the own SNDHWM and RCVHWM: its RCVHWM and SNDHWM as
            they were at its `bind()` or `connect()`.
    """

    __slots__ = ("is_bound", "name", "peer", "peer_limits")

    transport = "inproc"

    def __init__(self, socket: Endpoints, name: str) -> None:
        super().__init__(socket)
        self.name = name
        self.peer: InprocPipe
        self.is_bound = False
        self.peer_limits = DEFAULT_LIMIT, DEFAULT_LIMIT  # While there is no peer (measured).

    @property
    def peer_name(self) -> str:
        return str(self.peer.socket) if self.is_bound else f"inproc://{self.name}, bound by nobody"

    def write(self, message: Message) -> None:
        self.written += 1
        peer = self.peer
        if peer.is_removed or peer.is_leaving:
            self.socket.drop(peer.gone_because, message)
            return
        peer.put(message)

    def tell_read(self, read: int) -> None:
        peer = self.peer
        if not peer.is_removed:
            peer.mailbox.post(peer.socket.command_credit, (peer, read))

    def report_again(self) -> None:
        if self.peer.is_open and not self.peer.full_at:
            self.tell_read(self.read)

    def close_out(self) -> None:
        super().close_out()
        if self.is_bound and not self.peer.is_removed:
            self.peer.put_end()

    def set_limits(self, outbound: int, inbound: int) -> None:
        """Bound what goes out and what comes in; what the peer adds is added (5.5.2)."""
        more_outbound, more_inbound = self.peer_limits
        self.set_limit(outbound + more_outbound if outbound and more_outbound else 0)
        self.set_inbound_limit(inbound + more_inbound if inbound and more_inbound else 0)

    def update_limits(self) -> None:
        """After a change of SNDHWM or RCVHWM of this side (5.5.6).

        The other side's end is set by the new numbers too, in place of its own, and adds the
        old ones to them: so a receiver that changes RCVHWM takes the sender's SNDHWM out of the
        sum (measured).
        """
        options = self.socket.options
        self.set_limits(options.sndhwm, options.rcvhwm)
        change = self.peer, options.rcvhwm, options.sndhwm
        self.peer.mailbox.post(self.peer.socket.command_limits, change)


class NetworkPipe(Pipe):
    """One end of a tcp or ipc connection, or of one that may come to be.

    Attributes:
        options: Those at the time of the `bind()` or `connect()` that it comes of.
        backlog: What the network has not taken yet: all of it while there is no connection.
        peer: Who is at the other end, as an object whose `str` a person understands.
        wire: Where messages go, perhaps nowhere; None while there is no connection.
        source: Where messages come from.
        connector: Who keeps the connection up; None at the binding side.
        taken: How many messages the network took.
        inbound_limit, delivered, reported, stop_at: How the receiving side bounds `inbound`: no
            more is delivered from `stop_at` on; 0 is for ever.
    """

    __slots__ = (
        "backlog", "connector", "delivered", "inbound_limit", "is_lingering", "options", "peer",
        "reported", "source", "stop_at", "take_report_at", "take_report_step", "taken", "wire",
    )  # fmt: skip

    transport = "network"

    def __init__(
        self, socket: Endpoints, options: Options, connector: Connector | None, peer: object
    ) -> None:
        super().__init__(socket)
        self.options = options
        self.is_watched = socket.type == c.REQ or options.maxmsgsize >= 0
        self.connector = connector
        self.peer = peer
        self.backlog: deque[Message] = deque()
        self.wire: Wire | Nowhere | None = None
        self.source: Wire | None = None
        self.is_lingering = False
        self.taken = 0
        self.take_report_step = 0
        self.take_report_at = NEVER
        self.delivered = 0
        self.reported = 0
        self.inbound_limit = 0
        self.stop_at = ENDLESS
        self.set_limits(options.sndhwm, options.rcvhwm)

    @property
    def peer_name(self) -> str:
        return str(self.peer)

    @property
    def silence_ms(self) -> int | None:
        """How long nothing may come before heartbeats break the connection; None without them."""
        options = self.options
        if not options.heartbeat_ivl:
            return None
        timeout_ms = options.heartbeat_timeout
        return options.heartbeat_ivl + (timeout_ms if timeout_ms >= 0 else options.heartbeat_ivl)

    @property
    def ttl_ms(self) -> int | None:
        """How long the other end waits for more after a ping; None if no ping of this end says so."""
        return (self.options.heartbeat_ttl or None) if self.options.heartbeat_ivl else None

    def write(self, message: Message) -> None:
        self.written += 1
        wire = self.wire
        if wire is None or self.backlog or not wire.take(message):
            self.backlog.append(message)
            return
        taken = self.taken = self.taken + 1
        if taken == self.take_report_at:
            self.report_taken()

    def pump(self) -> None:
        """Give the network as much of the backlog as it takes."""
        wire, backlog = self.wire, self.backlog
        while backlog and wire is not None and wire.take(backlog[0]):
            backlog.popleft()
            self.taken += 1
            if self.taken == self.take_report_at:
                self.report_taken()
        if self.is_lingering and not backlog:
            self.socket.lingered(self)

    def report_taken(self) -> None:
        """The network side of this pipe reports as any reader does."""
        self.take_report_at += self.take_report_step
        self.mailbox.post(self.socket.command_credit, (self, self.taken))

    def tell_read(self, read: int) -> None:
        self.reported = read
        self._make_room()

    def shut(self) -> None:
        """Nothing goes out any more, and nothing more comes in."""
        self.close_out()
        self.stop_at = 0

    def restart_count(self) -> None:
        """A new connection: what was delivered by the one before has no part in its limit."""
        self.reported = self.delivered = self.read
        self._make_room()

    def _make_room(self) -> None:
        if not self.stop_at:
            return  # It was shut.
        limit = self.inbound_limit
        self.stop_at = self.reported + limit if limit else ENDLESS
        if self.source is not None and self.source.is_stuck:
            self.source.unstick()

    def set_limits(self, outbound: int, inbound: int) -> None:
        """Bound what goes out and what comes in."""
        self.set_limit(outbound)
        step = self.take_report_step = low_water_mark(self.limit)
        self.take_report_at = self.taken - self.taken % step + step if step else NEVER
        self.inbound_limit = inbound
        self.set_inbound_limit(inbound)
        self._make_room()

    def update_limits(self) -> None:
        """After a change of SNDHWM or RCVHWM of this side; no other reaches what stands."""
        options = self.socket.options
        self.set_limits(options.sndhwm, options.rcvhwm)
