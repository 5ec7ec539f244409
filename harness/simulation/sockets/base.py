"""What all sockets have in common: calls, waiting, endpoints, closing.

**Commands.** A socket learns of new pipes, ended pipes, freed room and sleeping pipes
that have something again from commands in its mailbox, and looks into it only when its
owner calls (5.1.4): before a send, when a receive finds nothing (else every hundredth),
in `events`, `bind`, `connect`. So its view may be stale, as libzmq's is.

**Types** differ in six methods: `_take` and `_put` move a whole message, `has_in` and
`has_out` tell the poller, and `_attach` and `_forget` keep the order of pipes. Programs
that send frame by frame pass through `_open`, which decides where a message goes
by its first frame, and `_commit`, which sends it.

Source: zeromq.md 5.1, 5.7, 5.8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .. import constants as c
from ..connection import IO_THREAD_NS, Connector, Listener
from ..constants import SimulatedError
from ..endpoint import parse
from ..options import Options
from ..pipe import InprocPipe, Message, NetworkPipe, Pipe
from ..rotation import FairQueue

if TYPE_CHECKING:
    from ..context import Context
    from ..scheduler import Task

COMMAND_TICKS = 100
"""Receives that find something look into the mailbox only so often."""

FIRST_DESCRIPTOR = 2**20
"""Made-up descriptors start where no real one is."""

# These keep one connection per endpoint; a second connect() to it changes nothing (5.1.6).
SINGLE_CONNECT = frozenset({c.DEALER, c.REQ, c.SUB, c.PUB})


class Wait:
    """Why a task waits for a socket; read by a person, so it is put into words only then."""

    __slots__ = ("socket", "verb")

    def __init__(self, socket: Socket, verb: str) -> None:
        self.socket = socket
        self.verb = verb

    def __str__(self) -> str:
        return f"{self.verb} on {self.socket}, {self.socket.waits_for(self.verb)}"


class Socket:
    """The base of all types.

    Args:
        context: Whose socket it is.

    Attributes:
        node, number: Whose it is, and which of the run.
        mailbox: Commands that the owner has not seen; while there are any, the descriptor
            of the socket is readable.
        waiters: The tasks that a command wakes.
        rcvmore: Whether the message of the last frame goes on.
        refusal: The error number of every call, once the context ended or it was closed.
    """

    type = -1
    can_send = True
    can_receive = True
    tells_loss = True  # Whether a send between two frames says that the peer went.

    def __init__(self, context: Context) -> None:
        simulation = context.simulation
        self.context = context
        self.simulation = simulation
        self.scheduler = simulation.scheduler
        self.network = simulation.network
        self._ready = simulation.scheduler.ready
        self.node = context.node
        self.number = simulation.next_socket_number()
        self.options = Options(self.type)
        self.refusal = 0
        self.is_closed = False
        self.is_strict_reader = self.type == c.REQ
        self.mailbox: deque[tuple[Callable[[Any], object], Any]] = deque()
        self.waiters: list[Task] = []
        self.pipes: dict[Pipe, None] = {}
        self.fair_queue = FairQueue()
        self.last_endpoint = ""
        self.rcvmore = False
        self._endpoints: list[tuple[str, Listener | Connector | InprocPipe | None]] = []
        self._parts: Message = []  # The rest of a message that is received frame by frame, reversed.
        self._outgoing: Message | None = None  # The part of a message that was sent so far.
        self._out_pipe: Pipe | None = None
        self._is_loss_told = False
        self._ticks = 0
        self._drained_ns = 0
        self._monitor: Socket | None = None
        self._monitor_mask = 0
        self._receiving = Wait(self, "receive")
        self._sending = Wait(self, "send")

    def __str__(self) -> str:
        return f"{c.TYPE_NAMES[self.type]} {self.number} of {self.node}"

    def waits_for(self, verb: str) -> str:
        """What would let a blocked call go on, in words."""
        peers = ", ".join(dict.fromkeys(pipe.peer_name for pipe in self.pipes))
        if not peers:
            return "which has no peer"
        return (
            f"awaiting a message from {peers}" if verb == "receive" else f"awaiting room at {peers}"
        )

    # --- what the types define -------------------------------------------------

    def _take(self) -> Message | None:
        """The next whole message for the application; None if there is none."""
        raise NotImplementedError

    def _put(self, message: Sequence[bytes]) -> bool:
        """Send a whole message; False if it has to wait."""
        if not self._open(message[0], len(message) > 1):
            return False
        self._commit(list(message))
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        """Decide where the message with this first frame goes; False if it has to wait."""
        raise NotImplementedError

    def _commit(self, message: Message) -> None:
        """Send the message whose way is decided; the list is the socket's from here on."""
        raise NotImplementedError

    def has_in(self) -> bool:
        """What POLLIN says."""
        raise NotImplementedError

    def has_out(self) -> bool:
        """What POLLOUT says."""
        raise NotImplementedError

    def _attach(self, pipe: Pipe) -> None:
        """A new pipe takes its place."""
        raise NotImplementedError

    def _forget(self, pipe: Pipe) -> None:
        """A pipe loses its place."""
        raise NotImplementedError

    def _hear(self, pipe: Pipe) -> None:
        """A pipe that slept has something, or has ended."""
        raise NotImplementedError

    def _regain(self, pipe: Pipe) -> None:
        """A pipe that was full has room."""
        raise NotImplementedError

    def _introduce(self, pipe: Pipe) -> None:
        """The handshake of a connecting pipe has told who the peer is."""

    def _resume(self, pipe: Pipe) -> None:
        """A connecting pipe has a connection again, perhaps to somebody else."""

    # --- commands -------------------------------------------------------------

    def post(self, command: tuple[Callable[[Any], object], Any]) -> None:
        """Put a command into the mailbox and wake who waits for this socket."""
        self.mailbox.append(command)
        for task in self.waiters:
            if task.is_parked:  # As `Scheduler.wake`, unrolled.
                task.is_parked = False
                self._ready.append(task)

    def drain(self) -> None:
        """Do what the commands say."""
        self._ticks = 0
        self._drained_ns = self.scheduler.now_ns
        mailbox = self.mailbox
        while mailbox:
            command, argument = mailbox.popleft()
            command(argument)

    def _drain_before_send(self) -> None:
        # libzmq looks at most about once per millisecond here (5.1.5), so that a send may act
        # on what was true before. Calm is to look.
        if (
            self.scheduler.now_ns - self._drained_ns < c.NS_PER_MS
            and self.simulation.choices.choose(2, "send with a stale view")
        ):
            return
        self.drain()

    def command_attach(self, pipe: Pipe) -> None:
        """There is a new pipe."""
        if self.is_closed:
            return
        self.pipes[pipe] = None
        self._attach(pipe)

    def command_read(self, pipe: Pipe) -> None:
        """A pipe that slept has something."""
        if not (pipe.is_removed or pipe.is_leaving):
            self._hear(pipe)

    def command_ended(self, pipe: Pipe) -> None:
        """The peer has gone: nothing can be sent to it, what it sent can still be read."""
        if pipe.is_removed:
            return
        if pipe.is_leaving:
            self._agree(pipe)
            return
        pipe.is_ended = True
        # The other side hears of this only when this one has read to the end.
        pipe.is_open = pipe.has_room = False
        if isinstance(pipe, NetworkPipe):
            self.drop_all("peer lost", pipe.backlog)
        self._hear(pipe)

    def command_credit(self, report: tuple[Pipe, int]) -> None:
        """The reader of a pipe has reported."""
        pipe, read = report
        pipe.credit = read
        if not pipe.has_room and pipe.is_open and not pipe.is_removed:
            pipe.has_room = True
            self._regain(pipe)

    def command_limits(self, change: tuple[InprocPipe, int, int]) -> None:
        """The other side of an inproc connection has changed SNDHWM or RCVHWM."""
        pipe, outbound, inbound = change
        pipe.set_limits(outbound, inbound)

    def command_identify(self, pipe: Pipe) -> None:
        """The peer of a connecting pipe has introduced itself."""
        if not pipe.is_removed:
            self._introduce(pipe)

    def command_resume(self, pipe: NetworkPipe) -> None:
        """A connecting pipe has a connection again."""
        if not pipe.is_removed:
            self._resume(pipe)

    def command_terminate(self, pipe: NetworkPipe) -> None:
        """The I/O thread gives up a connection for good.

        It asks its socket first, and the pipe ends only with the answer; so one more send
        succeeds and is lost (1.11, 5.4.4).
        """
        if not pipe.is_removed:
            self.scheduler.call_later(IO_THREAD_NS, pipe.put_end)

    def acknowledge_end(self, pipe: Pipe) -> None:
        """A pipe was read to its end.

        The other side is asked and answers through the mailbox; until the owner has seen
        that, the pipe keeps its place and its routing id (5.3.5).
        """
        if pipe.is_acknowledged or (isinstance(pipe, InprocPipe) and not pipe.is_bound):
            return  # Or there is nobody yet who could answer.
        pipe.is_acknowledged = True
        answer = (self.forget, pipe)
        if isinstance(pipe, InprocPipe) and not pipe.peer.socket.is_closed:
            # After a disconnect() it is the owner of the other end who answers, at its next call.
            pipe.peer.socket.post((pipe.peer.socket.command_agreed, (pipe.peer, answer)))
        else:
            self.scheduler.call_later(IO_THREAD_NS, lambda: self.post(answer))

    def command_agreed(
        self, agreement: tuple[InprocPipe, tuple[Callable[[Any], object], Any]]
    ) -> None:
        """The other side has read a pipe to the end at which this one had left it."""
        pipe, answer = agreement
        self.forget(pipe)
        pipe.peer.socket.post(answer)

    def _agree(self, pipe: Pipe) -> None:
        """Both ends gave up a connection: each keeps its place until the other has answered."""
        if isinstance(pipe, InprocPipe) and not pipe.peer.socket.is_closed:
            pipe.peer.socket.post((pipe.peer.socket.forget, pipe.peer))
        else:
            self.forget(pipe)

    def leave(self, pipe: InprocPipe) -> None:
        """Give up an end of an inproc connection while the socket lives on.

        Nothing passes it any more, but it keeps its place and its routing id until the other
        side has read to the end (measured).
        """
        pipe.is_leaving = True
        self.drop_all(pipe.gone_because, pipe.inbound)
        pipe.close_out()
        if not pipe.is_bound:
            self.post((self.command_left_unbound, pipe))

    def command_left_unbound(self, pipe: InprocPipe) -> None:
        """A pipe to a name that nobody had bound ends: its far end is in our hands until then."""
        pipe.is_ended = True
        if pipe.is_bound:
            pipe.peer.socket.command_ended(pipe.peer)

    def forget(self, pipe: Pipe) -> None:
        """Take a pipe out of the socket."""
        if pipe.is_removed:
            return
        pipe.is_removed = True
        self.pipes.pop(pipe, None)
        if isinstance(pipe, InprocPipe):
            # There is nothing to disconnect from any more.
            self._endpoints = [entry for entry in self._endpoints if entry[1] is not pipe]
        self._forget(pipe)

    # --- sending --------------------------------------------------------------

    def _check_can_send(self) -> None:
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if not self.can_send:
            raise SimulatedError(c.ENOTSUP, f"send on {self}")

    def send_message(self, message: Sequence[bytes], flags: int = 0) -> None:
        """Send a whole message.

        Raises:
            SimulatedError: EAGAIN when it would block and must not, or did too long; EFSM;
                EHOSTUNREACH from a mandatory ROUTER; ETERM; ENOTSOCK; ENOTSUP.
        """
        if self.refusal or not self.can_send:
            self._check_can_send()
        if self.mailbox:
            self._drain_before_send()
        if self._outgoing is not None:
            for frame in message[:-1]:
                self.send(frame, flags | c.SNDMORE)
            self.send(message[-1], flags & ~c.SNDMORE)
        elif not self._put(message):
            self._send_later(lambda: self._put(message), flags)

    def send(self, frame: bytes, flags: int = 0) -> None:
        """Send one frame; with SNDMORE the message goes on. Raises as `send_message`."""
        if self._outgoing is None:
            if not flags & c.SNDMORE:
                self.send_message((frame,), flags)
                return
            self._check_can_send()
            if self.mailbox:
                self._drain_before_send()
            if not self._open(frame, True):
                self._send_later(lambda: self._open(frame, True), flags)
            self._outgoing = [frame]
            self._is_loss_told = False
            return
        self._check_can_send()
        if self.mailbox:
            self._drain_before_send()
        pipe = self._out_pipe
        if (
            self.tells_loss
            and flags & c.DONTWAIT
            and not self._is_loss_told
            and pipe is not None
            and not (pipe.is_open or pipe.is_removed)
        ):
            # The peer went between two frames: said once, then the rest is swallowed (5.7.4).
            self._is_loss_told = True
            if not flags & c.SNDMORE:
                self._outgoing = None
            raise SimulatedError(c.EAGAIN, f"send on {self}")
        self._outgoing.append(frame)
        if not flags & c.SNDMORE:
            message, self._outgoing = self._outgoing, None
            self._commit(message)

    # --- receiving ------------------------------------------------------------

    def recv_message(self, flags: int = 0) -> Message:
        """Receive a whole message, or the rest of one that was begun frame by frame.

        Raises:
            SimulatedError: EAGAIN when there is none and it must not block, or did too long;
                EFSM; ETERM; ENOTSOCK; ENOTSUP.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if self._parts:
            message, self._parts = self._parts[::-1], []
            self.rcvmore = False
            self._finish_reading()
            return message
        self._ticks += 1
        if self._ticks == COMMAND_TICKS:
            self.drain()
        found = self._take()
        if found is None:
            found = self._take_later(flags)
        self.rcvmore = False
        return found

    def _take_later(self, flags: int) -> Message:
        """There is nothing just now: look into the mailbox, then wait for commands."""
        if not self.can_receive:
            raise SimulatedError(c.ENOTSUP, f"receive on {self}")
        found: Message | None
        if self.mailbox:
            self.drain()
            found = self._take()
            if found is not None:
                return found
        deadline_ns = self._deadline_ns(flags, self._receiving, self.options.rcvtimeo)
        scheduler = self.scheduler
        task = scheduler.current
        assert task is not None, f"{self._receiving}, outside of any task"
        self.waiters.append(task)
        try:
            while True:
                in_time = scheduler.park(self._receiving, deadline_ns)
                if self.refusal:
                    raise SimulatedError(self.refusal, str(self))
                if self.mailbox:
                    self.drain()
                    found = self._take()
                    if found is not None:
                        return found
                if not in_time:
                    raise SimulatedError(c.EAGAIN, f"receive on {self}")
        finally:
            self.waiters.remove(task)

    def recv(self, flags: int = 0) -> bytes:
        """Receive one frame; `rcvmore` says whether the message goes on. Raises as above."""
        parts = self._parts
        if not parts or self.refusal:
            # Only the last frame makes a message read, for the sender and for the turn.
            queue = self.fair_queue
            queue.is_holding = True
            try:
                message = self.recv_message(flags)
            finally:
                queue.is_holding = False
            if len(message) == 1:
                queue.finish()
                return message[0]
            parts = self._parts = message[::-1]
        frame = parts.pop()
        self.rcvmore = bool(parts)
        if not parts:
            self._finish_reading()
        return frame

    def _finish_reading(self) -> None:
        """The last frame was read of a message that is read frame by frame."""
        self.fair_queue.finish()

    # --- waiting --------------------------------------------------------------

    def _deadline_ns(self, flags: int, reason: Wait, timeout_ms: int) -> int | None:
        """Until when a call waits; None is for ever, and not at all is EAGAIN."""
        if flags & c.DONTWAIT or timeout_ms == 0:
            self.scheduler.fruitless()
            raise SimulatedError(c.EAGAIN, f"{reason.verb} on {self}")
        return None if timeout_ms < 0 else self.scheduler.now_ns + timeout_ms * c.NS_PER_MS

    def _send_later(self, is_sent: Callable[[], bool], flags: int) -> None:
        """There is no room just now: look into the mailbox, then wait for commands."""
        deadline_ns = self._deadline_ns(flags, self._sending, self.options.sndtimeo)
        task = self.scheduler.current
        assert task is not None, f"{self._sending}, outside of any task"
        in_time = True
        self.waiters.append(task)
        try:
            while True:
                if self.refusal:
                    raise SimulatedError(self.refusal, str(self))
                if self.mailbox:
                    self.drain()
                    if is_sent():
                        return
                if not in_time:
                    raise SimulatedError(c.EAGAIN, f"send on {self}")
                in_time = self.scheduler.park(self._sending, deadline_ns)
        finally:
            self.waiters.remove(task)

    def events(self) -> int:
        """What EVENTS says: POLLIN and POLLOUT, after a look into the mailbox (5.11)."""
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if self.mailbox:
            self.drain()
        # Room first, as libzmq asks: looking for input may find that a pipe has ended.
        found = c.POLLOUT if self.has_out() else 0
        return found | c.POLLIN if self._parts or self.has_in() else found

    # --- options --------------------------------------------------------------

    def set(self, option: int, value: int | bytes) -> None:
        """Set an option; see `options.py`.

        Raises:
            SimulatedError: EINVAL, ETERM, ENOTSOCK.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if not self._set_own(option, value):
            name = self.options.set(self.type, option, value)
            if name in ("sndhwm", "rcvhwm"):
                for pipe in self.pipes:
                    pipe.update_limits()  # type: ignore[attr-defined]
            elif name == "maxmsgsize":
                self.is_strict_reader = self.type == c.REQ or self.options.maxmsgsize >= 0

    def _set_own(self, option: int, value: int | bytes) -> bool:
        """Options that are really verbs, such as SUBSCRIBE; False for all others."""
        return False

    def get(self, option: int) -> int | bytes:
        """What an option is.

        Raises:
            SimulatedError: EINVAL, ETERM, ENOTSOCK.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if option == c.EVENTS:
            return self.events()
        if option == c.RCVMORE:
            return int(self.rcvmore)
        if option == c.TYPE:
            return self.type
        if option == c.FD:
            return FIRST_DESCRIPTOR + self.number
        if option == c.LAST_ENDPOINT:
            return self.last_endpoint.encode()
        return self.options.get(option)

    # --- endpoints ------------------------------------------------------------

    def bind(self, text: str) -> None:
        """Listen at an endpoint.

        Raises:
            SimulatedError: EINVAL, EPROTONOSUPPORT, ENOCOMPATPROTO, ENODEV, EADDRINUSE.
        """
        self._begin_call()
        endpoint = parse(text, to_bind=True)
        if endpoint.transport == "inproc":
            self.context.bind_inproc(self, endpoint.address)
            self._endpoints.append((text, None))
            self.last_endpoint = text
            return
        try:
            listener = self.network.listen(self, endpoint)
        except SimulatedError as error:
            self.event(c.EVENT_BIND_FAILED, error.errno or 0, text)
            raise
        self.last_endpoint = str(listener.endpoint)
        self._endpoints.append((self.last_endpoint, listener))
        self.event(c.EVENT_LISTENING, FIRST_DESCRIPTOR + self.number, self.last_endpoint)

    def connect(self, text: str) -> None:
        """Connect to an endpoint, which need not be bound yet.

        Raises:
            SimulatedError: EINVAL, EPROTONOSUPPORT, ENOCOMPATPROTO.
        """
        self._begin_call()
        endpoint = parse(text, to_bind=False)
        if endpoint.transport == "inproc":
            pipe = self.context.connect_inproc(self, endpoint.address)
            self._endpoints.append((text, pipe))
            self.last_endpoint = text
            return
        if self.type in SINGLE_CONNECT and any(known == text for known, _ in self._endpoints):
            return
        connector = self.network.new_connector(self, endpoint, text)
        self.options.connect_routing_id = b""  # It names one peer, that of this connect().
        self._endpoints.append((text, connector))
        self.last_endpoint = text
        if connector.pipe is not None:
            self.command_attach(connector.pipe)
        connector.start()

    def unbind(self, text: str) -> None:
        """Stop listening; over tcp and ipc the connections that came in close.

        Raises:
            SimulatedError: ENOENT: it is not bound here, or this is not its resolved text.
        """
        self._close_endpoint(text)

    def disconnect(self, text: str) -> None:
        """Close the connections of a `connect()`; what was sent lingers.

        Raises:
            SimulatedError: ENOENT: it is not connected.
        """
        self._close_endpoint(text)

    def _begin_call(self) -> None:
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if self.mailbox:
            self.drain()

    def _close_endpoint(self, text: str) -> None:
        self._begin_call()
        parse(text, to_bind=True)
        found = [entry for entry in self._endpoints if entry[0] == text]
        if not found:
            raise SimulatedError(c.ENOENT, text)
        # Who is bound to an inproc name and connected to it loses the name first.
        names = [entry for entry in found if entry[1] is None]
        for entry in names or found:
            self._endpoints.remove(entry)
            thing = entry[1]
            if thing is None:
                self.context.unbind_inproc(self, parse(text, to_bind=True).address)
            elif isinstance(thing, Listener):
                self._stop_listening(thing)
            elif isinstance(thing, InprocPipe):
                self._let_go(thing)
            elif thing.pipe is not None and not thing.pipe.is_removed:
                self._let_go(thing.pipe, is_asked=True)
            else:
                self._hang_up(thing)

    def _stop_listening(self, listener: Listener) -> None:
        self.network.unlisten(listener)
        self.event(c.EVENT_CLOSED, FIRST_DESCRIPTOR + self.number, str(listener.endpoint))
        for connection in list(listener.connections):
            if connection.far is not None and not connection.far.is_removed:
                self._let_go(connection.far, is_asked=not self.is_closed)
            else:
                connection.reset()

    # --- closing --------------------------------------------------------------

    def _let_go(self, pipe: Pipe, *, is_asked: bool = False) -> None:
        """Close this socket's end of a pipe; what is not sent yet lingers (5.8).

        Args:
            pipe: Which.
            is_asked: After `disconnect` and `unbind` the I/O thread asks the socket before it
                hangs up, and is answered only at the next call of the owner (measured). A
                socket that closes answers by itself.
        """
        if isinstance(pipe, InprocPipe) and not self.is_closed:
            # What a peer sent before it went can be read even after a disconnect().
            if not (pipe.is_leaving or pipe.is_ended):
                self.leave(pipe)
            return
        self.forget(pipe)
        self.drop_all("closed", pipe.inbound)
        if not pipe.is_leaving:
            pipe.close_out()
        if not isinstance(pipe, NetworkPipe):
            return
        linger_ms = self.options.linger
        if pipe.backlog and linger_ms != 0:
            pipe.is_lingering = True
            self.context.lingering[pipe] = None
            if linger_ms > 0:
                deadline_ns = linger_ms * c.NS_PER_MS
                self.scheduler.call_later(deadline_ns, lambda: self.lingered(pipe))
            return
        self.drop_all("linger", pipe.backlog)
        if is_asked:
            self.scheduler.call_later(IO_THREAD_NS, lambda: self._ask_to_hang_up(pipe))
        else:
            self._hang_up_pipe(pipe)

    def _ask_to_hang_up(self, pipe: NetworkPipe) -> None:
        if self.is_closed:
            self._hang_up_pipe(pipe)
        else:
            self.post((self._hang_up_pipe, pipe))

    def lingered(self, pipe: NetworkPipe) -> None:
        """A pipe has sent the last of it, or may not try any longer."""
        if not pipe.is_lingering:
            return
        pipe.is_lingering = False
        self.drop_all("linger", pipe.backlog)
        self._hang_up_pipe(pipe)
        del self.context.lingering[pipe]
        self.context.wake()

    def _hang_up_pipe(self, pipe: NetworkPipe) -> None:
        if pipe.connector is not None:
            self._hang_up(pipe.connector)
        elif pipe.wire is not None:
            pipe.wire.connection.close_from(pipe)

    def _hang_up(self, connector: Connector) -> None:
        connector.stop()
        if connector.connection is not None:
            if connector.connection.near is not None:
                connector.connection.close_from(connector.connection.near)
            else:
                connector.connection.reset()

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket; what it has not sent lingers in the background.

        Args:
            linger_ms: Sets LINGER first; None leaves it.
        """
        if self.is_closed:
            return
        if linger_ms is not None:
            self.options.linger = linger_ms
        self.drain()
        self.is_closed = True
        self.refusal = c.ENOTSOCK
        self._outgoing = None
        for _, thing in self._endpoints:
            if isinstance(thing, Listener):
                self._stop_listening(thing)
        self.context.unbind_all_inproc(self)
        for pipe in list(self.pipes):
            self._let_go(pipe)
        for _, thing in self._endpoints:
            if isinstance(thing, Connector) and thing.pipe is None:
                self._hang_up(thing)
        self._endpoints.clear()
        self.stop_monitor()
        for task in self.waiters:
            self.scheduler.wake(task)
        self.context.closed(self)

    def refuse(self, errno: int) -> None:
        """The context ends: every call, also one that waits, gets this error."""
        if not self.refusal:
            self.refusal = errno
            for task in self.waiters:
                self.scheduler.wake(task)

    # --- what others are told -------------------------------------------------

    def monitor(self, text: str | None, events: int = c.EVENT_ALL) -> None:
        """Tell the socket's events to a PAIR at an inproc endpoint; None stops that.

        Raises:
            SimulatedError: EPROTONOSUPPORT: it is not inproc; EADDRINUSE; EINVAL.
        """
        self._begin_call()
        self.stop_monitor()
        if text is None:
            return
        if parse(text, to_bind=True).transport != "inproc":
            raise SimulatedError(c.EPROTONOSUPPORT, text)
        monitor = self.context.internal_pair()
        try:
            monitor.bind(text)
        except SimulatedError:
            monitor.close()
            raise
        self._monitor = monitor
        self._monitor_mask = events

    def stop_monitor(self) -> None:
        """Say MONITOR_STOPPED, and close."""
        if self._monitor is not None:
            self.event(c.EVENT_MONITOR_STOPPED, 0, "")
            monitor, self._monitor = self._monitor, None
            monitor.close(0)

    def event(self, event: int, value: int, endpoint: str) -> None:
        """Tell the monitor: a frame with event and value, a frame with the endpoint (5.2.9)."""
        if self._monitor is not None and self._monitor_mask & event:
            head = event.to_bytes(2, "little") + value.to_bytes(4, "little")
            self._monitor.drain()
            self._monitor._put([head, endpoint.encode()])

    def note(self, kind: str, **fields: object) -> None:
        """Tell the observer of the run."""
        if self.simulation.observe is not None:
            self.simulation.observe(kind, self, fields)

    def drop(self, reason: str, message: Message) -> None:
        """A message ends here, for a reason with a name."""
        if self.simulation.observe is not None and message:
            self.simulation.observe("dropped", self, {"reason": reason, "message": message})

    def drop_all(self, reason: str, messages: deque[Message] | Iterable[Message]) -> None:
        """All of a queue ends here."""
        for message in messages:
            self.drop(reason, message)
        if isinstance(messages, deque):
            messages.clear()
