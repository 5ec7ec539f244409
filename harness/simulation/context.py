"""Contexts: the sockets of a node, its inproc names, and the end of both.

Source: docs/clauses.md, 5.8 and 5.9; pyzmq, sugar/context.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import constants as c
from .constants import SimulatedError
from .pipe import ANNOUNCEMENT, InprocPipe, NetworkPipe
from .sockets import SOCKETS
from .sockets.base import Socket
from .sockets.endpoints import Endpoints
from .sockets.pair import Pair

if TYPE_CHECKING:
    from .scheduler import Task
    from .simulation import Simulation

INT_MAX = 2**31 - 1
_NAMING = (c.ROUTER, c.REP)  # The types that want to know how a peer calls itself.

# option: (default, least, greatest); None for what can only be read.
_OPTIONS: dict[int, tuple[int, int, int] | None] = {
    c.IO_THREADS: (1, 0, INT_MAX),
    c.MAX_SOCKETS: (1023, 1, 65535),
    c.SOCKET_LIMIT: None,
    c.THREAD_SCHED_POLICY: (-1, 0, INT_MAX),
    c.MAX_MSGSZ: (INT_MAX, 0, INT_MAX),
    c.MSG_T_SIZE: None,
    c.THREAD_NAME_PREFIX: (0, 0, INT_MAX),
    c.IPV6: (0, 0, 1),
    c.BLOCKY: (1, 0, 1),
}
_DEFAULTS = {number: row[0] for number, row in _OPTIONS.items() if row is not None}
_READ_ONLY = {c.SOCKET_LIMIT: 65535, c.MSG_T_SIZE: 64}


class Bound(NamedTuple):
    """Who has an inproc name, with those options that count as they were at `bind()`."""

    socket: Endpoints
    routing_id: bytes
    sndhwm: int
    rcvhwm: int


class Context:
    """See the top of this file.

    Attributes:
        node: Whose it is.
        sockets: Those that are open, in the order in which they were made.
        lingering: The pipes of closed sockets that still have something to send.
    """

    def __init__(self, simulation: Simulation, node: str) -> None:
        self.simulation = simulation
        self.node = node
        self.sockets: dict[Endpoints, None] = {}
        self.lingering: dict[NetworkPipe, None] = {}
        self.is_terminated = False
        self._values = _DEFAULTS.copy()
        self._waiters: list[Task] = []
        self._bound: dict[str, Bound] = {}
        self._pending: dict[str, list[InprocPipe]] = {}  # Connected, but bound by nobody yet.
        self._pairs: list[tuple[InprocPipe, InprocPipe]] = []  # All that there ever were.

    def __str__(self) -> str:
        return f"context of {self.node}"

    # --- sockets --------------------------------------------------------------

    def socket(self, socket_type: int) -> Socket:
        """A new socket.

        Raises:
            SimulatedError: EINVAL: no such type; EMFILE: there are too many; ETERM.
        """
        if self.is_terminated:
            raise SimulatedError(c.ETERM, str(self))
        kind = SOCKETS.get(socket_type)
        if kind is None:
            raise SimulatedError(c.EINVAL, f"socket type {socket_type}")
        if len(self.sockets) >= self._values[c.MAX_SOCKETS]:
            raise SimulatedError(c.EMFILE, str(self))
        socket = kind(self)
        if not self._values[c.BLOCKY]:
            socket.options.linger = 0
        self.sockets[socket] = None
        return socket

    def internal_pair(self) -> Socket:
        """The PAIR of a monitor, of which nobody knows."""
        pair = Pair(self)
        pair.options.sndhwm = 0
        pair.options.linger = 0
        return pair

    def closed(self, socket: Endpoints) -> None:
        """A socket has closed."""
        self.sockets.pop(socket, None)
        self.wake()

    def wake(self) -> None:
        """Who waits for the end of the context looks again."""
        for task in self._waiters:
            self.simulation.scheduler.wake(task)

    # --- options --------------------------------------------------------------

    def set(self, option: int, value: int) -> None:
        """Set an option.

        Raises:
            SimulatedError: EINVAL: no such option, or no such value.
        """
        row = _OPTIONS.get(option)
        if row is None or not row[1] <= value <= row[2]:
            raise SimulatedError(c.EINVAL, f"context option {option} = {value}")
        self._values[option] = value

    def get(self, option: int) -> int:
        """What an option is.

        Raises:
            SimulatedError: EINVAL: no such option.
        """
        found = self._values.get(option, _READ_ONLY.get(option))
        if found is None:
            raise SimulatedError(c.EINVAL, f"context option {option}")
        return found

    # --- inproc ---------------------------------------------------------------

    def bind_inproc(self, socket: Endpoints, name: str) -> None:
        """Give a name to a socket; those that connected to it before are joined to it.

        Raises:
            SimulatedError: EADDRINUSE.
        """
        if name in self._bound:
            raise SimulatedError(c.EADDRINUSE, f"inproc://{name}")
        options = socket.options
        bound = Bound(socket, options.routing_id, options.sndhwm, options.rcvhwm)
        self._bound[name] = bound
        for pipe in self._pending.pop(name, []):
            step = pipe.peer.report_step
            self._join(pipe, bound)
            socket.command_attach(pipe.peer)
            if pipe.socket.type in _NAMING and (pipe.inbound or pipe.wanted_id):
                # What is first in a pipe is taken for the routing id. Here that is the probe of
                # a binder with PROBE_ROUTER, which so stays without a name (measured).
                pipe.is_misread = bool(pipe.inbound) and not pipe.wanted_id
                pipe.put(ANNOUNCEMENT)
            # The binder reads the routing id, and by that it reports; so a connector that was
            # full learns that there is room now, if either has limits at that moment: a binder
            # that keeps the id reads it when they are agreed on, all others before.
            if pipe.peer.report_step if socket.type in _NAMING else step:
                pipe.peer.tell_read(0)
            pipe.mailbox.post(pipe.socket.command_identify, pipe)

    def connect_inproc(self, socket: Endpoints, name: str) -> InprocPipe:
        """Connect to a name, bound or not: the pipe is there at once."""
        pipe, peer = InprocPipe(socket, name), InprocPipe(socket, name)
        pipe.peer, peer.peer = peer, pipe
        self._pairs.append((pipe, peer))
        pipe.announced_id = socket.options.routing_id  # What the peer will learn.
        pipe.wanted_id = socket.options.connect_routing_id
        socket.options.connect_routing_id = b""
        # How many messages each side takes is agreed on now, whatever is set later.
        sndhwm, rcvhwm = socket.options.sndhwm, socket.options.rcvhwm
        peer.peer_limits = rcvhwm, sndhwm
        bound = self._bound.get(name)
        if bound is None:
            self._pending.setdefault(name, []).append(pipe)
            pipe.set_limit(sndhwm)
            pipe.set_inbound_limit(rcvhwm)
            peer.set_limit(rcvhwm)
            peer.set_inbound_limit(sndhwm)
        else:
            self._join(pipe, bound)
            if pipe.wanted_id:
                pipe.inbound.append(ANNOUNCEMENT)
            bound.socket.mailbox.post(bound.socket.command_attach, peer)
        socket.command_attach(pipe)
        return pipe

    def _join(self, pipe: InprocPipe, bound: Bound) -> None:
        peer, binder = pipe.peer, bound.socket
        peer.socket = binder
        peer.mailbox = binder.mailbox
        peer.on_message = binder.command_read
        peer.announced_id, pipe.announced_id = pipe.announced_id, bound.routing_id
        pipe.is_bound = peer.is_bound = True
        pipe.is_introduced = peer.is_introduced = True
        pipe.peer_limits = bound.rcvhwm, bound.sndhwm
        rcvhwm, sndhwm = peer.peer_limits
        pipe.set_limits(sndhwm, rcvhwm)
        peer.set_limits(bound.sndhwm, bound.rcvhwm)
        if pipe.is_removed or (pipe.is_leaving and pipe.is_ended):
            # The connector came, sent, and went before there was a binder, who knows it at once.
            peer.is_ended = True
            peer.is_open = False
            peer.full_at = 0

    def unbind_inproc(self, socket: Endpoints, name: str) -> None:
        """Free a name; its connections stay."""
        if name in self._bound and self._bound[name].socket is socket:
            del self._bound[name]

    def unbind_all_inproc(self, socket: Endpoints) -> None:
        """Free the names of a socket that closes."""
        for name in [name for name, bound in self._bound.items() if bound.socket is socket]:
            del self._bound[name]

    # --- the end --------------------------------------------------------------

    def shutdown(self) -> None:
        """Every call on every socket gets ETERM, also one that waits."""
        self.is_terminated = True
        for socket in self.sockets:
            socket.refuse(c.ETERM)

    def dispose(self) -> None:
        """The ends of inproc connections let go of each other."""
        for pipe, peer in self._pairs:
            del pipe.peer, peer.peer
        self._pairs.clear()

    def crash(self) -> None:
        """The process dies: its sockets close and nothing lingers.

        What its kernel had taken still arrives, as after a `kill -9`. Its tasks are not killed
        by this; see `Scheduler.kill`.
        """
        self.is_terminated = True
        for socket in list(self.sockets):
            socket.close(0)
        for pipe in list(self.lingering):
            pipe.socket.lingered(pipe)

    def term(self) -> None:
        """Shut down, then wait until all sockets are closed and have lingered."""
        self.shutdown()
        scheduler = self.simulation.scheduler
        while self.sockets or self.lingering:
            task = scheduler.current
            assert task is not None, "term() waits, and this is no task"
            self._waiters.append(task)
            try:
                scheduler.park(_Termination(self))
            finally:
                self._waiters.remove(task)


class _Termination:
    """Why a task waits for the end of a context, in words."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def __str__(self) -> str:
        open_sockets = ", ".join(map(str, self.context.sockets)) or "none"
        return (
            f"end of the {self.context}, awaiting the close of {open_sockets} "
            f"and {len(self.context.lingering)} lingering connections"
        )
