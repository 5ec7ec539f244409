"""Seats: which node a thread, a context or a socket belongs to.

Several nodes live in one process. What a program does belongs to the node whose
context it uses; a context that it makes itself belongs to the node whose thread
made it. So threads that a program starts need no treatment: they use sockets of a
context that is already known.

Whose turn it is stands in a context variable, which each thread, each greenlet and
each task of asyncio has for itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from ..errors import NodeStopped, told
from ..frames import kept

if TYPE_CHECKING:
    import zmq

    from ..history.recorder import Recorder
    from .tap import Tap


ETERM_LIMIT = 100
"""How often a program may call into a terminated context before it is ended by force."""


class Listener(Protocol):
    """Who wants to know what a node opens: the world, for its barrier."""

    def bound(self, seat: Seat, tap: Tap, requested: str, endpoint: str) -> None: ...

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None: ...

    def is_known(self, endpoint: str) -> bool:
        """Whether an endpoint belongs to the run, and not to a node alone."""


class Place:
    """The place of a node in a run: its name, and where its events go.

    Args:
        node: Its name.
        recorder: Where its events go.

    Attributes:
        hwm_limit: The greatest high-water mark that its sockets may have; None is any.
    """

    def __init__(self, node: str, recorder: Recorder) -> None:
        self.node = node
        self.recorder = recorder
        self.hwm_limit: int | None = None
        self._append = recorder.append
        self._clock = recorder.clock

    def note(
        self,
        kind: str,
        op: str = "",
        frames: Sequence[bytes] = (),
        text: str = "",
        number: int = 0,
    ) -> None:
        """Write down an event of the node, now."""
        self._append(
            (self._clock(), self.node, kind, 0, op, kept(frames) if frames else (), text, number)
        )


class Seat(Place, ABC):
    """One node, as the seam sees it; a world has its own kind.

    Args:
        node: Its name.
        recorder: Where its events go.
        listener: Who wants to know what it opens.

    Attributes:
        taps: Its sockets, in the order in which they were made.
        stopping: Whether it was told to end, or has died.
        is_leaving: Whether it was told to while others go on, so that what it has sent lingers.
    """

    def __init__(self, node: str, recorder: Recorder, listener: Listener) -> None:
        super().__init__(node, recorder)
        self.listener = listener
        self.taps: list[Tap] = []
        self.stopping = False
        self.is_leaving = False
        self._contexts: WeakSet[Any] | None = None  # Each a face of the one that is lent.
        self._adopted: WeakSet[Any] | None = None  # From before the run, and used by the node.
        self._eterms = 0
        self._held: list[zmq.Socket[Any]] = []
        self._instances: dict[type, zmq.Context[Any]] = {}

    # --- what a world defines -------------------------------------------------

    @property
    @abstractmethod
    def address(self) -> int:
        """Where the context that is lent to the node lies."""

    @abstractmethod
    def caller(self) -> Any:
        """Who is calling: the thread, or what takes its place."""

    @abstractmethod
    def set_context(self, context: Any, option: int, value: int) -> None:
        """Set an option of a context of the node's."""

    @abstractmethod
    def get_context(self, context: Any, option: int) -> int:
        """What an option of a context of the node's is."""

    @abstractmethod
    def begin_context(self, context: Any, io_threads: int) -> None:
        """Make a new context of the node's one more face of the one that is lent to it."""

    @abstractmethod
    def begin_socket(
        self, socket: Any, context: Any, kind: int, shadow: int, copy_threshold: int | None
    ) -> Tap:
        """Open a socket, or the shadow of one, in place of pyzmq's compiled `__init__`."""

    # --- what all have in common ----------------------------------------------

    def has_made(self, context: Any) -> None:
        """The node has made a context of its own."""
        if self._contexts is None:
            self._contexts = WeakSet()
        self._contexts.add(context)

    def instance(self, kind: type[zmq.Context[Any]]) -> zmq.Context[Any]:
        """What `Context.instance()` of that class is to this node."""
        found = self._instances.get(kind)
        if found is None or found.closed:
            with seated(self):
                found = self._instances[kind] = kind()
        return found

    def adopt(self, context: zmq.Context[Any]) -> zmq.Context[Any]:
        """What stands for a context from before the run, which the node uses as its own."""
        import zmq

        if self._adopted is None:
            self._adopted = WeakSet()
        self._adopted.add(context)
        return self.instance(zmq.Context)

    def has_adopted(self, context: object) -> bool:
        """Whether something stands for a context."""
        return self._adopted is not None and context in self._adopted

    def sockets_of(self, context: zmq.Context[Any]) -> list[zmq.Socket[Any]]:
        """The open sockets that the node has made of one of its contexts."""
        return [socket for socket in self.open_sockets() if socket.context is context]

    def met_the_end(self) -> None:
        """A call of the node's was refused because its context was terminated.

        Raises:
            NodeStopped: That has been so for a while: the program does not take the hint.
        """
        if self.stopping:
            self._eterms += 1
            if self._eterms > ETERM_LIMIT:
                raise NodeStopped

    def crashed(self, error: BaseException) -> None:
        """A thread of the node's own has raised."""
        self.note("crash", text=told(error))

    def open_sockets(self) -> list[zmq.Socket[Any]]:
        """The sockets that the node has open, in the order in which they were made."""
        sockets = (tap.socket() for tap in self.taps)
        return [socket for socket in sockets if socket is not None and not socket.closed]

    def stop(self, *, is_leaving: bool = False) -> None:
        """The node is told to end, or has died.

        Its sockets are held from now on, so that they do not go with the last frame of
        its program, unclosed, but are closed by `close_sockets`; its contexts are the
        world's to end.
        """
        self._held = self.open_sockets()
        for context in list(self._contexts or ()):
            object.__setattr__(context, "_shadow", True)  # pyzmq ends none that it collects.
        self.is_leaving = is_leaving
        self.stopping = True

    def close_contexts(self) -> None:
        """The run is over: a context that a program has kept, as `instance()` does, is none in
        the next. Not sooner: what is closed tells nobody that the end has come."""
        for context in list(self._contexts or ()):
            context.closed = True

    def close_sockets(self, of: Callable[[Any], bool]) -> None:
        """Close what the node left open in some threads; it lingers only where others go on."""
        linger = None if self.is_leaving else 0
        for tap in self.taps:
            socket = tap.socket()
            if socket is not None and not socket.closed and of(tap.thread):
                socket.close(linger=linger)


_here: ContextVar[Seat | None] = ContextVar("reqrep-seat", default=None)

current: Callable[[], Seat | None] = _here.get
"""The node whose turn this is; None outside of one."""


class _Seated:
    __slots__ = ("_seat", "_token")

    _token: Token[Seat | None]

    def __init__(self, seat: Seat | None) -> None:
        self._seat = seat

    def __enter__(self) -> None:
        self._token = _here.set(self._seat)

    def __exit__(self, *exc_info: object) -> None:
        _here.reset(self._token)


def seated(seat: Seat | None) -> _Seated:
    """Make this thread that node's, for a while; None makes it nobody's."""
    return _Seated(seat)
