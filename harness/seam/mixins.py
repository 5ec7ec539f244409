"""The mixins: they stand between pyzmq's own classes and the compiled ones below.

A socket that belongs to a node hands its calls to its tap, which records them and
passes them to libzmq, or to a simulation. A socket that belongs to nobody goes
straight through. So names that were imported early, subclasses of a user's,
`zmq.asyncio`, and all the ways in which pyzmq sends and receives are reached, and no
object changes its type.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import zmq
from zmq.backend import Context as RawContext, Socket as RawSocket

from ..errors import NodeStopped
from . import seat as seats
from .tap import Tap, taps

if TYPE_CHECKING:
    from .seat import Seat

# What lies below the mixins, for the taps: the compiled classes, and pyzmq's own methods as
# they were before anything was patched.
raw_context: Any = RawContext
raw_socket: Any = RawSocket
plain_send_multipart: Any = zmq.Socket.send_multipart
plain_recv_multipart: Any = zmq.Socket.recv_multipart
plain_destroy: Any = zmq.Context.destroy
_instance: Any = zmq.Context.__dict__["instance"]

_current = seats.current

_OWN = frozenset(
    {"_shadow", "_shadow_obj", "_sockets", "_type_name", "closed", "context", "sockopts"}
)
"""What pyzmq sets of its own accord. It looks through all bases for each, to tell it from an option."""


class SeamContext:
    """Stands in front of the compiled `Context`."""

    _seat: Seat | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __init__(self, io_threads: int = 1, shadow: int = 0) -> None:
        seat = _current()
        if seat is None or shadow not in (0, seat.address):
            super().__init__(io_threads=io_threads, shadow=shadow)  # type: ignore[call-arg]
            return
        # A context of the node's own is one more face of the one that is lent to it:
        # so it shares the node's inproc names, and ends when the node is told to.
        object.__setattr__(self, "_seat", seat)
        seat.begin_context(self, io_threads)

    @property
    def underlying(self) -> int:
        seat = self._seat
        address: int = raw_context.underlying.__get__(self) if seat is None else seat.address
        return address

    def set(self, option: int, optval: int) -> None:
        seat = self._seat
        if seat is None:
            raw_context.set(self, option, optval)
        else:
            seat.set_context(self, option, optval)

    def get(self, option: int) -> Any:
        seat = self._seat
        return raw_context.get(self, option) if seat is None else seat.get_context(self, option)

    def term(self) -> None:
        seat: Seat | None = self._seat
        own: Any = self
        if seat is None:
            seat = _current()
            if seat is None or not seat.has_adopted(self):
                raw_context.term(self)
                return
            own = seat.instance(zmq.Context)  # The real one is not the node's to end.
        # The context is only lent. Wait, as libzmq does, for the sockets to be closed,
        # and leave the context itself to the world.
        while not seat.stopping and seat.sockets_of(own):
            time.sleep(0.001)
        own.closed = True


def instance(cls: type[zmq.Context[Any]], io_threads: int = 1) -> zmq.Context[Any]:
    """`Context.instance()`: each node has one of its own, as each process would."""
    seat = _current()
    if seat is None:
        found: zmq.Context[Any] = _instance.__func__(cls, io_threads)
        return found
    return seat.instance(cls)


def destroy(self: zmq.Context[Any], linger: int | None = None) -> None:
    """`Context.destroy`: of a context from before the run, what the node has of it."""
    here = _current()
    if self._seat is not None or here is None or not here.has_adopted(self):
        plain_destroy(self, linger)
        return
    for socket in here.sockets_of(here.instance(zmq.Context)):
        socket.close(linger)
    self.term()


class SeamSocket:
    """Stands in front of the compiled `Socket`."""

    _tap: Tap | None = None
    _number: int | None = None  # Of a simulated socket.

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __init__(
        self,
        context: Any = None,
        socket_type: int = -1,
        shadow: int = 0,
        copy_threshold: int | None = None,
    ) -> None:
        if shadow:
            known = taps.get(shadow)
            seat = known.seat if known is not None else None
        else:
            seat = getattr(context, "_seat", None)
            if seat is None:
                seat = _current()
                if seat is not None and context is not None:
                    # A context from before the run, such as one at the top of a module: as
                    # a process of its own the node would have made it for itself.
                    context = seat.adopt(context)
        if seat is None:
            super().__init__(context, socket_type, shadow=shadow, copy_threshold=copy_threshold)  # type: ignore[call-arg]
            return
        tap = seat.begin_socket(self, context, socket_type, shadow, copy_threshold)
        object.__setattr__(self, "_tap", tap)

    @property
    def underlying(self) -> int:
        tap = self._tap
        address: int = raw_socket.underlying.__get__(self) if tap is None else tap.address
        return address

    # While a simulation is on, `simulating_calls.socket_hash` stands here.
    __hash__ = object.__hash__

    @property
    def closed(self) -> bool:
        tap = self._tap
        closed: bool = raw_socket.closed.__get__(self) if tap is None else tap.is_closed(self)
        return closed

    def send(self, data: Any, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        tap = self._tap
        if tap is None:
            return raw_socket.send(self, data, flags, copy, track)
        return tap.send(self, data, int(flags), copy, track)

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        tap = self._tap
        if tap is None:
            return raw_socket.recv(self, flags, copy, track)
        return tap.recv(self, int(flags), copy, track)

    if hasattr(raw_socket, "recv_into"):  # Since pyzmq 26.4.

        def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> int:
            tap = self._tap
            if tap is None:
                size: int = raw_socket.recv_into(self, buffer, nbytes=nbytes, flags=flags)
                return size
            return tap.recv_into(self, buffer, nbytes, int(flags))

    def set(self, option: int, value: Any) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.set(self, option, value)
        else:
            tap.set(self, option, value)

    def get(self, option: int) -> Any:
        tap = self._tap
        return raw_socket.get(self, option) if tap is None else tap.get(self, option)

    def bind(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.bind(self, endpoint)
        else:
            tap.bind(self, endpoint)

    def connect(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.connect(self, endpoint)
        else:
            tap.connect(self, endpoint)

    def unbind(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.unbind(self, endpoint)
        else:
            tap.unbind(self, endpoint)

    def disconnect(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.disconnect(self, endpoint)
        else:
            tap.disconnect(self, endpoint)

    def monitor(self, addr: Any, events: int = int(zmq.EVENT_ALL)) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.monitor(self, addr, events)
        else:
            tap.monitor(self, addr, int(events))

    def close(self, linger: int | None = None) -> None:
        tap = self._tap
        if tap is None:
            raw_socket.close(self, linger)
        else:
            tap.close(self, linger)


def send_multipart(
    self: Any,
    msg_parts: Any,
    flags: int = 0,
    copy: bool = True,
    track: bool = False,
    **kwargs: Any,
) -> Any:
    """`Socket.send_multipart` with the whole message in hand."""
    tap = self._tap
    if tap is None:
        return plain_send_multipart(self, msg_parts, flags, copy, track, **kwargs)
    return tap.send_multipart(self, msg_parts, int(flags), copy, track, kwargs)


def recv_multipart(self: Any, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
    """`Socket.recv_multipart` with the whole message in hand."""
    tap = self._tap
    if tap is None:
        return plain_recv_multipart(self, flags, copy, track)
    return tap.recv_multipart(self, int(flags), copy, track)


def start(self: threading.Thread) -> None:
    """`Thread.start`: a thread belongs to the node that starts it."""
    seat = _current()
    if seat is not None:
        run = self.run

        def run_seated() -> None:
            # What the end of a run does to a thread is no error that a program must catch.
            with seats.seated(seat):
                try:
                    run()
                except NodeStopped:
                    pass
                except Exception as error:
                    if seat.stopping and isinstance(error, zmq.ContextTerminated):
                        return
                    if not seat.stopping:
                        seat.crashed(error)
                    raise

        self.run = run_seated  # type: ignore[method-assign]
    real_start(self)


real_start: Any = threading.Thread.start


def set_option(self: zmq.Socket[Any], option: int, value: Any) -> None:
    """`Socket.setsockopt`, which pyzmq binds to the compiled method when it is imported."""
    self.set(option, value)


def get_option(self: zmq.Socket[Any], option: int) -> Any:
    """`Socket.getsockopt`, likewise."""
    return self.get(option)
