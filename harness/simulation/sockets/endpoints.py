"""What a socket opens and closes: endpoints, its monitor, and itself.

Source: docs/clauses.md, 5.1, 5.2 and 5.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import constants as c
from ..connection import IO_THREAD_NS, Connector, Listener
from ..constants import SimulatedError
from ..endpoint import parse
from ..pipe import InprocPipe, NetworkPipe, Pipe
from .plumbing import Plumbing

if TYPE_CHECKING:
    from ..context import Context
    from .base import Socket

FIRST_DESCRIPTOR = 2**20
"""Made-up descriptors start where no real one is."""

# These keep one connection per endpoint; a second connect() to it changes nothing (5.1.6).
SINGLE_CONNECT = frozenset({c.DEALER, c.REQ, c.SUB, c.PUB})


class Endpoints(Plumbing):
    """The middle part of a socket.

    Attributes:
        last_endpoint: What was bound or connected last.
        refusal: The error number of every call, once the context ended or it was closed.
    """

    __slots__ = ("_endpoints", "_monitor", "_monitor_mask", "last_endpoint", "refusal")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.refusal = 0
        self.last_endpoint = ""
        self._endpoints: list[tuple[str, Listener | Connector | InprocPipe | None]] = []
        self._monitor: Socket | None = None
        self._monitor_mask = 0

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
        self.last_endpoint = listener.text
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
        connector = Connector(self.network, self, endpoint, text)
        self._endpoints.append((text, connector))
        self.last_endpoint = text
        if connector.pipe is not None:
            self.command_attach(connector.pipe)
        connector.start()

    def unbind(self, text: str) -> None:
        """Stop listening; over tcp and ipc the connections that came in close.

        What had arrived by them can still be read, what was not sent is lost.

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
            self.mailbox.drain()

    def _close_endpoint(self, text: str) -> None:
        self._begin_call()
        endpoint = parse(text, to_bind=True)
        known = {entry[0] for entry in self._endpoints}
        if endpoint.transport == "tcp" and text not in known and "*" not in text:
            text = str(endpoint)  # A name is looked up, a wildcard is not.
        if text not in known:
            raise SimulatedError(c.ENOENT, text)
        self.command_disconnect(text)

    def command_disconnect(self, text: str) -> None:
        """An endpoint is given up: by the program, or because it broke and is not tried again."""
        found = [entry for entry in self._endpoints if entry[0] == text]
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
        self.event(c.EVENT_CLOSED, FIRST_DESCRIPTOR + self.number, listener.text)
        for connection in list(listener.connections):
            pipe = connection.far
            if pipe is None or pipe.is_removed:
                connection.reset()
            elif self.is_closed:
                self._let_go(pipe)
            else:
                self.drop_all("closed", pipe.backlog)
                pipe.shut()
                self.command_terminate(pipe)

    # --- closing --------------------------------------------------------------

    def forget(self, pipe: Pipe) -> None:
        super().forget(pipe)
        if isinstance(pipe, InprocPipe):
            # There is nothing to disconnect from any more.
            self._endpoints = [entry for entry in self._endpoints if entry[1] is not pipe]
        elif isinstance(pipe, NetworkPipe) and pipe.is_ended and pipe.wire is not None:
            # After unbind() a connection closes once all that had arrived is read.
            pipe.wire.connection.close_from(pipe)

    def _let_go(self, pipe: Pipe, *, is_asked: bool = False) -> None:
        """Close this socket's end of a pipe; what is not sent yet lingers (5.8).

        Args:
            pipe: Which.
            is_asked: After `disconnect` the I/O thread asks the socket before it hangs up, and
                is answered only at the next call of the owner (measured). A socket that closes
                answers by itself.
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
                self._later(deadline_ns, self.lingered, pipe)
            return
        self.drop_all("linger", pipe.backlog)
        if is_asked:
            self._later(IO_THREAD_NS, self._ask_to_hang_up, pipe)
        else:
            self._hang_up_pipe(pipe)

    def _ask_to_hang_up(self, pipe: NetworkPipe) -> None:
        if self.is_closed:
            self._hang_up_pipe(pipe)
        else:
            self.mailbox.post(self._hang_up_pipe, pipe)

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
        connection, connector.connection, connector.pipe = connector.connection, None, None
        if connection is not None:
            if connection.near is not None:
                connection.close_from(connection.near)
            else:
                connection.reset()

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket; what it has not sent lingers in the background.

        Args:
            linger_ms: Sets LINGER first; None leaves it.
        """
        if self.is_closed:
            return
        if linger_ms is not None:
            self.options.linger = linger_ms
        self.mailbox.drain()
        self.is_closed = True
        self.refusal = c.ENOTSOCK
        for _, thing in self._endpoints:
            if isinstance(thing, Listener):
                self._stop_listening(thing)
        self.context.unbind_all_inproc(self)
        for pipe in list(self.pipes):
            self._let_go(pipe)
        for _, thing in self._endpoints:
            if isinstance(thing, Connector) and not (thing.pipe and thing.pipe.is_lingering):
                self._hang_up(thing)
        self._endpoints.clear()
        self.stop_monitor()
        self.mailbox.close()
        self.context.closed(self)

    def refuse(self, errno: int) -> None:
        """The context ends: every call, also one that waits, gets this error."""
        if not self.refusal:
            self.refusal = errno
            self.mailbox.wake()

    # --- the monitor ----------------------------------------------------------

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
            self._monitor.mailbox.drain()
            self._monitor._put([head, endpoint.encode()])
