"""Recording: a node on real libzmq sockets, every message and every refusal written down.

A message counts when its last frame went through; frames sent one by one with
SNDMORE are put together. `send_multipart` and `recv_multipart` come as whole messages
and take a shorter way than pyzmq's loop of frames, with the same result; what is out
of the ordinary (tracking, zero copy, a subclass with its own `send`) takes pyzmq's way.
"""

from __future__ import annotations

import threading
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import zmq

from .mixins import plain_recv_multipart, plain_send_multipart, raw_context, raw_socket
from .seat import Listener, Seat
from .tap import HWM_OPTIONS, SNDMORE, Tap, frame_bytes, taps, text_of

if TYPE_CHECKING:
    from ..history.recorder import Recorder

_send = raw_socket.send
_recv = raw_socket.recv
_get = raw_socket.get
_RCVMORE = int(zmq.RCVMORE)

LINGER_MS = 1000
"""How long what a node that leaves has sent may linger at most: the end of its context waits for it."""


class RecordingListener(Listener, Protocol):
    """A world whose sockets have connections to listen to."""

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None: ...

    def unwatched(self, tap: Tap) -> None:
        """The program listens to this socket itself, so nothing is heard of it."""

    def way_in(self, node: str, endpoint: str) -> str:
        """Where a node really connects that connects to an endpoint."""

    def meant(self, endpoint: str) -> str:
        """The endpoint that a way in leads to; any other is itself."""


class RecordingSeat(Seat):
    """A node on real sockets.

    Args:
        node: Its name.
        recorder: Where its events go.
        owner: The context whose face is lent to it.
        listener: Who wants to know what it opens.

    Attributes:
        context: What its program is given.
        loops: The event loops of asyncio in which it opened sockets.
    """

    listener: RecordingListener

    def __init__(
        self,
        node: str,
        recorder: Recorder,
        owner: zmq.Context[Any],
        listener: RecordingListener,
    ) -> None:
        super().__init__(node, recorder, listener)
        self.context: zmq.Context[Any] = zmq.Context(shadow=owner.underlying)
        object.__setattr__(self.context, "_seat", self)
        self._address = owner.underlying
        self.loops: WeakSet[Any] = WeakSet()

    @property
    def address(self) -> int:
        return self._address

    def caller(self) -> threading.Thread:
        return threading.current_thread()

    def set_context(self, context: Any, option: int, value: int) -> None:
        raw_context.set(context, option, value)

    def get_context(self, context: Any, option: int) -> int:
        found: int = raw_context.get(context, option)
        return found

    def begin_context(self, context: Any, io_threads: int) -> None:
        raw_context.__init__(context, io_threads, shadow=self._address)
        self.has_made(context)

    def begin_socket(
        self, socket: Any, context: Any, kind: int, shadow: int, copy_threshold: int | None
    ) -> Tap:
        if self.stopping and not shadow:
            self.met_the_end()
            raise zmq.ContextTerminated  # By us: where nothing lingers, what is below is gone soon.
        loop = _get_running_loop()
        if loop is not None:
            self.loops.add(loop)
        raw_socket.__init__(socket, context, kind, shadow=shadow, copy_threshold=copy_threshold)
        return taps[shadow] if shadow else RecordingTap(self, socket)

    def stop(self, *, is_leaving: bool = False) -> None:
        super().stop(is_leaving=is_leaving)
        for loop in list(self.loops):
            # A future of zmq.asyncio never hears that its context was terminated.
            try:
                loop.call_soon_threadsafe(_cancel_all, loop)
            except RuntimeError:
                pass  # The loop is closed: its coroutines have ended.
        for socket in self._held:
            try:
                # Now, since a terminated context refuses it, and a close would then linger for
                # what nobody will take. libzmq keeps this one option as an atomic, so that it
                # may be set beside a thread that waits in a call.
                if not is_leaving:
                    raw_socket.set(socket, zmq.LINGER, 0)
                elif not 0 <= _get(socket, zmq.LINGER) <= LINGER_MS:
                    raw_socket.set(socket, zmq.LINGER, LINGER_MS)
            except zmq.ZMQError:
                pass  # Closed, or terminated, meanwhile.


def _cancel_all(loop: Any) -> None:
    import asyncio

    for task in asyncio.all_tasks(loop):
        task.cancel()


class RecordingTap(Tap):
    """One real socket."""

    __slots__ = ("_is_plain_recv", "_is_plain_send", "_is_watched")

    def __init__(self, seat: Seat, socket: Any) -> None:
        kind = type(socket)
        self._is_plain_send = kind.send is zmq.Socket.send
        self._is_plain_recv = kind.recv is zmq.Socket.recv and kind.get is zmq.Socket.get
        self._is_watched = False
        address = raw_socket.underlying.__get__(socket)
        super().__init__(seat, socket, address, zmq.SocketType(_get(socket, zmq.TYPE)).name)
        if seat.hwm_limit is not None:
            for option in HWM_OPTIONS:
                raw_socket.set(socket, option, seat.hwm_limit)

    # --- messages -------------------------------------------------------------

    def send(self, socket: Any, data: Any, flags: int, copy: bool, track: bool) -> Any:
        time_ns = self._clock()
        try:
            result = _send(socket, data, flags, copy, track)
        except zmq.ZMQError as error:
            self.failed("send", error.errno)
            raise
        self.frame_sent(time_ns, frame_bytes(data), bool(flags & SNDMORE))
        return result

    def recv(self, socket: Any, flags: int, copy: bool, track: bool) -> Any:
        try:
            got = _recv(socket, flags, copy, track)
        except zmq.ZMQError as error:
            self.failed("recv", error.errno)
            raise
        if copy:
            self.frame_received(got, bool(_get(socket, _RCVMORE)))
        else:
            self.frame_received(got.bytes, bool(got.more))
        return got

    def recv_into(self, socket: Any, buffer: Any, nbytes: int, flags: int) -> int:
        try:
            size: int = raw_socket.recv_into(socket, buffer, nbytes=nbytes, flags=flags)
        except zmq.ZMQError as error:
            self.failed("recv", error.errno)
            raise
        frame = bytes(memoryview(buffer).cast("B")[:size])
        self.frame_received(frame, bool(_get(socket, _RCVMORE)))
        return size

    def send_multipart(
        self, socket: Any, parts: Any, flags: int, copy: bool, track: bool, more: dict[str, Any]
    ) -> Any:
        # Whatever is not a whole message of plain frames goes pyzmq's own way.
        if type(parts) is not list or not parts or not copy or flags & SNDMORE:
            return plain_send_multipart(socket, parts, flags, copy, track, **more)
        if self._outgoing or not self._is_plain_send:
            return plain_send_multipart(socket, parts, flags, copy, track, **more)
        for part in parts:
            if type(part) is not bytes:
                return plain_send_multipart(socket, parts, flags, copy, track, **more)
        time_ns = self._clock()
        try:
            for part in parts[:-1]:
                _send(socket, part, flags | SNDMORE)
            _send(socket, parts[-1], flags)
        except zmq.ZMQError as error:
            self.failed("send", error.errno)
            raise
        self.crossed(time_ns, "send", parts)
        return None

    def recv_multipart(self, socket: Any, flags: int, copy: bool, track: bool) -> Any:
        if not copy or not self._is_plain_recv or self._incoming:
            return plain_recv_multipart(socket, flags, copy, track)
        try:
            parts = [_recv(socket, flags)]
            while _get(socket, _RCVMORE):
                parts.append(_recv(socket, flags))
        except zmq.ZMQError as error:
            self.failed("recv", error.errno)
            raise
        self.crossed(self._clock(), "recv", parts)
        return parts

    # --- the rest -------------------------------------------------------------

    def set(self, socket: Any, option: int, value: Any) -> None:
        value = self.limited(option, value)
        raw_socket.set(socket, option, value)
        self.note_option(option, value)

    def get(self, socket: Any, option: int) -> Any:
        value = _get(socket, option)
        if option == zmq.LAST_ENDPOINT:
            return self.above(value.decode()).encode()
        return value

    def below(self, endpoint: Any) -> str:
        assert isinstance(self.seat, RecordingSeat)
        return self.seat.listener.way_in(self._node, super().below(endpoint))

    def above(self, endpoint: str) -> str:
        assert isinstance(self.seat, RecordingSeat)
        return super().above(self.seat.listener.meant(endpoint))

    def bind(self, socket: Any, endpoint: Any) -> None:
        self._watch(socket, endpoint)
        try:
            raw_socket.bind(socket, self.below(endpoint))
        except zmq.ZMQError as error:
            error.add_note(f"endpoint: {text_of(endpoint)}")  # Old pyzmq does not say.
            raise
        actual = self.above(_get(socket, zmq.LAST_ENDPOINT).decode())
        self.note("bind", actual)
        self.seat.listener.bound(self.seat, self, text_of(endpoint), actual)

    def connect(self, socket: Any, endpoint: Any) -> None:
        self._watch(socket, endpoint)
        # Announced first: a handshake can be over before connect() has returned.
        self.seat.listener.connecting(self.seat, self, text_of(endpoint))
        raw_socket.connect(socket, self.below(endpoint))
        self.note("connect", text_of(endpoint))

    def unbind(self, socket: Any, endpoint: Any) -> None:
        raw_socket.unbind(socket, self.below(endpoint))
        self.note("unbind", text_of(endpoint))

    def disconnect(self, socket: Any, endpoint: Any) -> None:
        raw_socket.disconnect(socket, self.below(endpoint))
        self.note("disconnect", text_of(endpoint))

    def monitor(self, socket: Any, address: Any, events: int) -> None:
        # A socket has one monitor; from now on it is the program's.
        self._is_watched = True
        assert isinstance(self.seat, RecordingSeat)
        self.seat.listener.unwatched(self)
        raw_socket.monitor(socket, None if address is None else self.below(address), events)

    def close(self, socket: Any, linger: int | None) -> None:
        if not self.is_closed(socket):
            self.note_close()
        raw_socket.close(socket, linger)

    def is_closed(self, socket: Any) -> bool:
        closed: bool = raw_socket.closed.__get__(socket)
        return closed

    def _watch(self, socket: Any, endpoint: str | bytes) -> None:
        """Listen to the connections from the first endpoint on; inproc has no events."""
        if not self._is_watched and not text_of(endpoint).startswith("inproc:"):
            self._is_watched = True
            assert isinstance(self.seat, RecordingSeat)
            self.seat.listener.watch(self, socket)
