"""The recording mixins: every whole message, every connection, every refusal, as a program meets it.

A mixin stands between pyzmq's own class and the compiled one below it, so it
hears names that were imported early, subclasses of a user's, `zmq.asyncio`, and all
the ways in which pyzmq sends and receives. A socket that belongs to no node goes
straight through.

A message counts when its last frame went through; frames sent one by one with
SNDMORE are put together here. `send_multipart` and `recv_multipart` come as whole
messages and take a shorter way than pyzmq's loop of frames, with the same result;
what is out of the ordinary (tracking, zero copy, a subclass with its own `send`)
takes pyzmq's way.
"""

from __future__ import annotations

import threading
import time
import weakref
from itertools import count
from typing import TYPE_CHECKING, Any

import zmq
from zmq.backend import Context as RawContext, Socket as RawSocket

from ..frames import LongFrame
from . import seat as seats

if TYPE_CHECKING:
    from .seat import Seat

_raw_context: Any = RawContext
_raw: Any = RawSocket
_send = _raw.send
_recv = _raw.recv
_get = _raw.get
_set = _raw.set
_send_multipart = zmq.Socket.send_multipart
_recv_multipart = zmq.Socket.recv_multipart
_instance = zmq.Context.__dict__["instance"]

# Plain numbers: arithmetic on pyzmq's flag enums costs more than sending a frame.
_NOBLOCK = int(zmq.NOBLOCK)
_SNDMORE = int(zmq.SNDMORE)
_RCVMORE = int(zmq.RCVMORE)

_KIND_OF: dict[int | None, str] = {
    zmq.EFSM: "efsm",
    zmq.EAGAIN: "again",
    zmq.EHOSTUNREACH: "unreachable",
}

_ETERM_LIMIT = 100
"""How often a program may call into a terminated context before it is ended by force."""

_clock = time.monotonic_ns
_numbers = count(1)
_taps: dict[int, Tap] = {}
"""The taps of all open sockets, by the address of the libzmq socket, for shadows to find."""


class Tap:
    """What the seam knows of one socket, and where it writes what it hears.

    Attributes:
        number: The number of the socket in the history.
        address: Of the libzmq socket.
        thread: The thread that made it, and that alone may use it.
    """

    __slots__ = (
        "_agains",
        "_append",
        "_eterms",
        "_incoming",
        "_node",
        "_outgoing",
        "address",
        "number",
        "plain_recv",
        "plain_send",
        "seat",
        "socket",
        "thread",
        "watched",
    )

    def __init__(self, seat: Seat, socket: zmq.Socket[Any]) -> None:
        self.seat = seat
        self.number = next(_numbers)
        self.socket = weakref.ref(socket)
        self.address = socket.underlying
        self.thread = threading.current_thread()
        self.watched = False
        kind = type(socket)
        self.plain_send = kind.send is zmq.Socket.send
        self.plain_recv = kind.recv is zmq.Socket.recv and kind.get is zmq.Socket.get
        self._node = seat.node
        self._append = seat.recorder.append
        self._outgoing: list[bytes] = []
        self._incoming: list[bytes] = []
        self._agains = 0
        self._eterms = 0

    def note(self, kind: str, text: str = "", number: int = 0, frame: bytes | None = None) -> None:
        """Write down an event of this socket, now."""
        frames = () if frame is None else (frame,)
        self._append((_clock(), self._node, kind, self.number, "", frames, text, number))

    def crossed(self, time_ns: int, kind: str, frames: list[bytes]) -> None:
        """Write down a whole message."""
        if self._agains:
            self._end_of_agains()
        for frame in frames:
            if len(frame) > LongFrame.LIMIT_BYTES:
                frames = [LongFrame.of(f) if len(f) > LongFrame.LIMIT_BYTES else f for f in frames]
                break
        self._append((time_ns, self._node, kind, self.number, "", tuple(frames)))

    def frame_sent(self, time_ns: int, data: Any, more: bool) -> None:
        """Put a frame to the message that is being sent; write it down when it is whole."""
        if type(data) is not bytes:
            data = data.bytes if isinstance(data, zmq.Frame) else bytes(memoryview(data))
        self._outgoing.append(data)
        if not more:
            frames, self._outgoing = self._outgoing, []
            self.crossed(time_ns, "send", frames)

    def frame_received(self, frame: bytes, more: bool) -> None:
        """The same for a message that is being received."""
        self._incoming.append(frame)
        if not more:
            frames, self._incoming = self._incoming, []
            self.crossed(_clock(), "recv", frames)

    def failed(self, call: str, error: zmq.ZMQError) -> None:
        """Write down a call that failed, if the failure is one that the protocol knows.

        A program that polls with NOBLOCK gives up thousands of times in a row: the
        first is written down, and when the row is over how many followed.
        """
        kind = _KIND_OF.get(error.errno)
        if kind == "again":
            if self._agains == 0:
                self.note(kind, call)
            self._agains += 1
        elif kind is not None:
            self.note(kind, call)
        elif error.errno == zmq.ETERM and self.seat.stopping:
            self._eterms += 1
            if self._eterms > _ETERM_LIMIT:
                raise seats.NodeStopped from error

    def _end_of_agains(self) -> None:
        if self._agains > 1:
            self.note("again", "repeated", self._agains - 1)
        self._agains = 0


class RecordingContext:
    """Stands in front of the compiled `Context`."""

    _seat: Seat | None = None

    def __init__(self, io_threads: int = 1, shadow: int = 0) -> None:
        seat = seats.current()
        if seat is not None and not shadow:
            # A context of the node's own is one more face of the one that is lent to it:
            # so it shares the node's inproc names, and ends when the node is told to.
            shadow = seat.context.underlying
        super().__init__(io_threads=io_threads, shadow=shadow)  # type: ignore[call-arg]
        if seat is not None:
            object.__setattr__(self, "_seat", seat)
            seat.contexts.add(self)

    def term(self) -> None:
        seat = self._seat
        if seat is None:
            _raw_context.term(self)
            return
        # The context is only lent. Wait, as libzmq does, for the sockets to be closed,
        # and leave the context itself to the world.
        while not seat.stopping and any(not socket.closed for socket in list(self._sockets)):  # type: ignore[attr-defined]
            time.sleep(0.001)
        self.closed = True


def instance(cls: type[zmq.Context[Any]], io_threads: int = 1) -> zmq.Context[Any]:
    """`Context.instance()`: each node has one of its own, as each process would."""
    seat = seats.current()
    if seat is None:
        found: zmq.Context[Any] = _instance.__func__(cls, io_threads)
        return found
    return seat.instance(cls)


class RecordingSocket:
    """Stands in front of the compiled `Socket`."""

    _tap: Tap | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kwargs.get("shadow"):
            tap = _taps.get(self.underlying)  # type: ignore[attr-defined]
        else:
            seat = getattr(self.context, "_seat", None) or seats.current()  # type: ignore[attr-defined]
            if seat is None:
                return
            tap = Tap(seat, self)  # type: ignore[arg-type]
            _taps[tap.address] = tap
            seat.taps.append(tap)
            tap.note("socket", zmq.SocketType(_get(self, zmq.TYPE)).name)
        object.__setattr__(self, "_tap", tap)

    def send(self, data: Any, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        tap = self._tap
        if tap is None:
            return _send(self, data, flags, copy, track)
        flags = int(flags)
        time_ns = _clock()
        try:
            result = _send(self, data, flags, copy, track)
        except zmq.ZMQError as error:
            tap.failed("send", error)
            raise
        tap.frame_sent(time_ns, data, bool(flags & _SNDMORE))
        return result

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        tap = self._tap
        if tap is None:
            return _recv(self, flags, copy, track)
        try:
            got = _recv(self, int(flags), copy, track)
        except zmq.ZMQError as error:
            tap.failed("recv", error)
            raise
        if copy:
            tap.frame_received(got, bool(_get(self, _RCVMORE)))
        else:
            tap.frame_received(got.bytes, bool(got.more))
        return got

    if hasattr(_raw, "recv_into"):  # Since pyzmq 26.4.

        def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> int:
            tap = self._tap
            try:
                size: int = _raw.recv_into(self, buffer, nbytes=nbytes, flags=int(flags))
            except zmq.ZMQError as error:
                if tap is not None:
                    tap.failed("recv", error)
                raise
            if tap is not None:
                frame = bytes(memoryview(buffer).cast("B")[:size])
                tap.frame_received(frame, bool(_get(self, _RCVMORE)))
            return size

    def set(self, option: int, value: Any) -> None:
        _set(self, option, value)
        tap = self._tap
        if tap is not None:
            name = _option_name(option)
            if isinstance(value, int):
                tap.note("option", name, number=int(value))
            else:
                tap.note("option", name, frame=bytes(value))

    def bind(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is not None:
            _watch(tap, self, endpoint)  # type: ignore[arg-type]
        try:
            _raw.bind(self, endpoint)
        except zmq.ZMQError as error:
            error.add_note(f"endpoint: {_text(endpoint)}")  # Old pyzmq does not say.
            raise
        if tap is not None:
            actual = _get(self, zmq.LAST_ENDPOINT).decode()
            tap.note("bind", actual)
            tap.seat.listener.bound(tap.seat, _text(endpoint), actual)

    def connect(self, endpoint: Any) -> None:
        tap = self._tap
        if tap is not None:
            _watch(tap, self, endpoint)  # type: ignore[arg-type]
            # Announced first: a handshake can be over before connect() has returned.
            tap.seat.listener.connecting(tap.seat, tap, _text(endpoint))
        _raw.connect(self, endpoint)
        if tap is not None:
            tap.note("connect", _text(endpoint))

    def unbind(self, endpoint: Any) -> None:
        _raw.unbind(self, endpoint)
        if self._tap is not None:
            self._tap.note("unbind", _text(endpoint))

    def disconnect(self, endpoint: Any) -> None:
        _raw.disconnect(self, endpoint)
        if self._tap is not None:
            self._tap.note("disconnect", _text(endpoint))

    def close(self, linger: int | None = None) -> None:
        tap = self._tap
        # A shadow of a socket that is gone has no right to close what lives at its address now.
        if tap is not None and _taps.get(tap.address) is tap and not self.closed:  # type: ignore[attr-defined]
            del _taps[tap.address]
            tap.note("close")
        _raw.close(self, linger)


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
    if (
        tap is None
        or type(msg_parts) is not list
        or not tap.plain_send
        or not msg_parts
        or not copy
        or tap._outgoing
    ):
        return _send_multipart(self, msg_parts, flags, copy, track, **kwargs)
    for part in msg_parts:
        if type(part) is not bytes:
            return _send_multipart(self, msg_parts, flags, copy, track, **kwargs)
    flags = int(flags)
    if flags & _SNDMORE:
        return _send_multipart(self, msg_parts, flags, copy, track, **kwargs)
    time_ns = _clock()
    try:
        for part in msg_parts[:-1]:
            _send(self, part, flags | _SNDMORE)
        _send(self, msg_parts[-1], flags)
    except zmq.ZMQError as error:
        tap.failed("send", error)
        raise
    tap.crossed(time_ns, "send", msg_parts)
    return None


def recv_multipart(self: Any, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
    """`Socket.recv_multipart` with the whole message in hand."""
    tap = self._tap
    if tap is None or not copy or not tap.plain_recv or tap._incoming:
        return _recv_multipart(self, flags, copy, track)
    flags = int(flags)
    try:
        parts = [_recv(self, flags)]
        while _get(self, _RCVMORE):
            parts.append(_recv(self, flags))
    except zmq.ZMQError as error:
        tap.failed("recv", error)
        raise
    tap.crossed(_clock(), "recv", parts)
    return parts


def set_option(self: zmq.Socket[Any], option: int, value: Any) -> None:
    """`Socket.setsockopt`, which pyzmq binds to the compiled method when it is imported."""
    self.set(option, value)


def _text(endpoint: str | bytes) -> str:
    return endpoint.decode() if isinstance(endpoint, bytes) else endpoint


def _option_name(option: int) -> str:
    try:
        return zmq.SocketOption(option).name
    except ValueError:
        return str(option)


def _watch(tap: Tap, socket: zmq.Socket[Any], endpoint: str | bytes) -> None:
    """Listen to the connections of a socket from its first endpoint on; inproc has no events."""
    if not tap.watched and not _text(endpoint).startswith("inproc:"):
        tap.watched = True
        tap.seat.listener.watch(tap, socket)
