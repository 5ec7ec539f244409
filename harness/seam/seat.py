"""Seats: which node a thread, a context or a socket belongs to.

Several nodes live in one process. What a program does belongs to the node whose
context it uses; a context that it makes itself belongs to the node whose thread
made it. So threads that a program starts need no treatment: they use sockets of a
context that is already known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    import zmq

    from ..history.recorder import Recorder
    from .record import Tap


class Listener(Protocol):
    """Who wants to know what a node opens: the world, for its barrier."""

    def bound(self, seat: Seat, requested: str, endpoint: str) -> None: ...

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None: ...

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None: ...


class NodeStopped(BaseException):
    """Ends a program that goes on calling ZeroMQ after its context was terminated.

    Not an `Exception`, so that a loop which swallows every error ends as well.
    """


class Seat:
    """One node, as the seam sees it.

    Attributes:
        node: Its name.
        context: The context that is lent to it.
        taps: Its sockets, in the order in which they were made.
        contexts: Those that it made itself, each a face of the one that is lent to it.
        stopping: Whether it was told to end, or has died.
    """

    def __init__(
        self, node: str, recorder: Recorder, context: zmq.Context[Any], listener: Listener
    ) -> None:
        self.node = node
        self.recorder = recorder
        self.context = context
        self.listener = listener
        self.taps: list[Tap] = []
        self.contexts: WeakSet[Any] = WeakSet()
        self.stopping = False
        self._held: list[zmq.Socket[Any]] = []
        self._instances: dict[type, zmq.Context[Any]] = {}

    def instance(self, kind: type[zmq.Context[Any]]) -> zmq.Context[Any]:
        """What `Context.instance()` of that class is to this node."""
        found = self._instances.get(kind)
        if found is None or found.closed:
            found = self._instances[kind] = kind(shadow=self.context.underlying)
        return found

    def open_sockets(self) -> list[zmq.Socket[Any]]:
        """The sockets that the node has open, in the order in which they were made."""
        sockets = (tap.socket() for tap in self.taps)
        return [socket for socket in sockets if socket is not None and not socket.closed]

    def stop(self) -> None:
        """The node is told to end, or has died.

        Its sockets are held from now on, so that they do not go with the last frame of
        its program, unclosed, but are closed by `close_sockets`; its contexts are the
        world's to end.
        """
        self._held = self.open_sockets()
        for context in list(self.contexts):
            context.closed = True
        self.stopping = True

    def close_sockets(self, of: Callable[[threading.Thread], bool]) -> None:
        """Close what the node left open in some threads, without lingering: its run is over."""
        for tap in self.taps:
            socket = tap.socket()
            if socket is not None and not socket.closed and of(tap.thread):
                socket.close(linger=0)


_here = threading.local()


def current() -> Seat | None:
    """The node whose thread this is; None outside of one."""
    return getattr(_here, "seat", None)


@contextmanager
def seated(seat: Seat | None) -> Iterator[None]:
    """Make this thread that node's; None makes it nobody's."""
    before = current()
    _here.seat = seat
    try:
        yield
    finally:
        _here.seat = before
