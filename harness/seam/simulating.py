"""Simulating: the tap whose socket is a simulated one, under pyzmq's own classes.

The compiled `__init__` is not called for these objects, so the handle below them stays
NULL, and whatever this module fails to take over is refused by libzmq at once. Their
addresses point into a block of zeroes that is kept alive: libzmq looks for its own mark
behind an address and answers ENOTSOCK or EFAULT when it is not there. (A made-up number
would be followed and end the process.)
"""

from __future__ import annotations

import ctypes
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

import zmq

from ..errors import MisuseError
from ..frames import LONG_BYTES, kept
from ..simulation.constants import SimulatedError
from .mixins import plain_recv_multipart, plain_send_multipart, recv_multipart, send_multipart
from .tap import HWM_OPTIONS, SNDMORE, Tap, frame_bytes, option_name, text_of

if TYPE_CHECKING:
    from ..simulation.scheduler import Task
    from ..simulation.sockets.base import Socket
    from .simulating_seat import SimulatingSeat

# Mechanisms whose handshake is not simulated: what a program sets would protect nothing here.
_SECURITY = ("CURVE_", "PLAIN_", "GSSAPI_", "ZAP_")

# What libzmq may know, depending on how it was built. What it never knows is its own error.
_TRANSPORTS = ("udp", "pgm", "epgm", "norm", "tipc", "vmci", "vsock", "hyperv", "ws", "wss")

# pyzmq's enums are slow to ask, and a run asks them many times.
TYPE_NAMES = {int(kind): kind.name for kind in zmq.SocketType}
_OPTION_KINDS = {
    int(option): option._opt_type.name.replace("fd", "int") for option in zmq.SocketOption
}
_OBJECT_BYTES = 8192
_OBJECTS = 131_072
_zeroes = (ctypes.c_char * (_OBJECTS * 8 + _OBJECT_BYTES))()
_addresses = count()


def new_address() -> int:
    """An address that is safe to hand out; it comes round again after 131,072 others."""
    return ctypes.addressof(_zeroes) + 8 * (next(_addresses) % _OBJECTS)


def zmq_error(error: SimulatedError) -> zmq.ZMQError:
    """What pyzmq raises for an error number."""
    if error.errno == zmq.EAGAIN:
        return zmq.Again()
    if error.errno == zmq.ETERM:
        return zmq.ContextTerminated()
    return zmq.ZMQError(error.errno)


class SimulatingTap(Tap):
    """One simulated socket.

    Attributes:
        core: The socket of the simulation.
        polled: What the simulation's poll takes, by the flags that were polled for so far.
    """

    __slots__ = ("_beginner", "_rivals", "_scheduler", "_waiters", "core", "polled")

    def __init__(self, seat: SimulatingSeat, socket: Any, core: Socket) -> None:
        self.core = core
        self._scheduler = seat.scheduler
        self._waiters = core.waiters
        self.polled: dict[int, tuple[Socket, int]] = {}
        self._rivals: set[tuple[str, str]] = set()
        self._beginner: Task | None = None  # Who has begun the message that is being sent.
        core.tap = self  # type: ignore[attr-defined]
        super().__init__(seat, socket, new_address(), TYPE_NAMES[core.type])
        if seat.hwm_limit is not None:
            for option in HWM_OPTIONS:
                core.set(option, seat.hwm_limit)

    def _refuse(self, what: str, why: str) -> NoReturn:
        seat: SimulatingSeat = self.seat  # type: ignore[assignment]
        seat.refuse(what, why)

    def _refused(self, call: str, error: SimulatedError) -> zmq.ZMQError:
        self.failed(call, error.errno)
        return zmq_error(error)

    # --- who uses it ----------------------------------------------------------

    def used(self, call: str) -> None:
        """Write down that this thread makes a call while another is in one, if it is so.

        A socket may change hands; what libzmq does not survive is two threads at once. Here
        nothing happens to the socket, so the program goes on, and the history tells.
        """
        scheduler = self._scheduler
        for task in self._waiters:
            if task is not scheduler.current:
                self._shared(call, str(task.reason), task)

    def _shared(self, call: str, what: str, other: Task) -> None:
        task = self._scheduler.current
        if task is None or task.node != self._node or self.seat.stopping:
            return  # It is the world that looks after the node's sockets.
        rivals = task.name, other.name
        if rivals not in self._rivals:
            self._rivals.add(rivals)
            self.note("ownership", f"{task.name} calls {call} while {other.name} is in: {what}")

    def poll_item(self, flags: int) -> tuple[Socket, int]:
        """Make what the simulation's poll takes for these flags."""
        item = self.polled[flags] = self.core, int(flags)
        return item

    # --- messages -------------------------------------------------------------
    #
    # Nearly all messages are whole and pass `send_whole` and `recv_whole`. Each call counts there:
    # a socket of an ordinary class holds the two itself, and they write down what passes as
    # `crossed` does. Shadows, and classes of a program's own, come through the mixin.

    def serve(self, socket: Any) -> None:
        """Stand behind a socket, which may be a shadow of the one that was opened."""
        own, kind = vars(socket), type(socket)
        own["_number"] = self.number
        if socket is self.socket():
            if kind.send_multipart is send_multipart and kind.send is zmq.Socket.send:
                own["send_multipart"] = self.send_whole
            if kind.recv_multipart is recv_multipart and kind.recv is zmq.Socket.recv:
                own["recv_multipart"] = self.recv_whole

    def send(self, socket: Any, data: Any, flags: int, copy: bool, track: bool) -> Any:
        if self._waiters:
            self.used("send")
        if isinstance(data, str):
            raise TypeError("unicode not allowed, use send_string")
        if track and isinstance(data, zmq.Frame) and data.tracker is None:
            raise ValueError("Not a tracked message")
        frame = frame_bytes(data)
        if self._outgoing and self._beginner is not self._scheduler.current:
            assert self._beginner is not None
            self._shared("send", "a message that it has sent a part of", self._beginner)
        try:
            self.core.send(frame, flags)
        except SimulatedError as error:
            raise self._refused("send", error) from None
        self._beginner = self._scheduler.current
        self.frame_sent(self._scheduler.now_ns, frame, bool(flags & SNDMORE))
        if isinstance(data, zmq.Frame) or not copy:
            return zmq.MessageTracker()  # A frame is copied at once, so it is done with.
        return None

    def recv(self, socket: Any, flags: int, copy: bool, track: bool) -> Any:
        if self._waiters:
            self.used("recv")
        core = self.core
        try:
            frame = core.recv(flags)
        except SimulatedError as error:
            raise self._refused("recv", error) from None
        self.frame_received(frame, core.rcvmore)
        if copy:
            return frame
        found = zmq.Frame(frame, copy=True)
        found.more = core.rcvmore
        return found

    def recv_into(self, socket: Any, buffer: Any, nbytes: int, flags: int) -> int:
        room = memoryview(buffer).cast("B")
        size = min(nbytes or len(room), len(room))
        frame = self.recv(socket, flags, True, False)
        room[: min(size, len(frame))] = frame[:size]
        return len(frame)

    def send_multipart(
        self, socket: Any, parts: Any, flags: int, copy: bool, track: bool, more: dict[str, Any]
    ) -> Any:
        if (
            type(socket).send is zmq.Socket.send
            and parts
            and all(type(part) is bytes for part in parts)
            and copy
            and not (flags & SNDMORE or self._outgoing or more)
        ):
            return self.send_whole(parts, flags)
        return plain_send_multipart(socket, parts, flags, copy, track, **more)

    def send_whole(
        self,
        msg_parts: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **more: Any,
    ) -> Any:
        """`send_multipart` of a socket of an ordinary class."""
        if flags or not copy or self._outgoing or not msg_parts or more:
            if not copy or flags & SNDMORE or self._outgoing or not msg_parts or more:
                return plain_send_multipart(self.socket(), msg_parts, flags, copy, track, **more)
            flags = int(flags)
        is_long = False
        for part in msg_parts:
            if type(part) is not bytes:
                return plain_send_multipart(self.socket(), msg_parts, flags, copy, track)
            if len(part) > LONG_BYTES:
                is_long = True
        if self._waiters:
            self.used("send_multipart")
        try:
            self.core.send_message(msg_parts, flags)
        except SimulatedError as error:
            raise self._refused("send", error) from None
        if self._agains:
            self._end_of_agains()
        frames = kept(msg_parts) if is_long else tuple(msg_parts)
        self._append((self._scheduler.now_ns, self._node, "send", self.number, "", frames))
        return None

    def recv_multipart(self, socket: Any, flags: int, copy: bool, track: bool) -> Any:
        if type(socket).recv is zmq.Socket.recv and copy and not self._incoming:
            return self.recv_whole(flags)
        return plain_recv_multipart(socket, flags, copy, track)

    def recv_whole(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """`recv_multipart` of a socket of an ordinary class."""
        if not copy or self._incoming:
            return plain_recv_multipart(self.socket(), flags, copy, track)
        if self._waiters:
            self.used("recv_multipart")
        try:
            parts = self.core.recv_message(int(flags) if flags else 0)
        except SimulatedError as error:
            raise self._refused("recv", error) from None
        if self._agains:
            self._end_of_agains()
        for part in parts:
            if len(part) > LONG_BYTES:
                frames = kept(parts)
                break
        else:
            frames = tuple(parts)
        self._append((self._scheduler.now_ns, self._node, "recv", self.number, "", frames))
        return parts

    # --- options --------------------------------------------------------------

    def set(self, socket: Any, option: int, value: Any) -> None:
        if isinstance(value, str):
            raise TypeError("unicode not allowed, use setsockopt_string")
        kind = _OPTION_KINDS.get(option, "int")
        if kind == "bytes" and not isinstance(value, bytes):
            raise TypeError(f"expected bytes, got: {value!r}")
        if kind != "bytes" and not isinstance(value, int):
            raise TypeError(f"expected int, got: {value!r}")
        if kind == "int" and not -(2**31) <= int(value) < 2**31:
            raise OverflowError("value too large to convert to int")
        if self._waiters:
            self.used("set")
        name = option_name(option)
        if name.startswith(_SECURITY):
            self._refuse_option(name, "security mechanisms are not simulated")
        value = self.limited(option, value)
        try:
            self.core.set(int(option), value if isinstance(value, bytes) else int(value))
        except SimulatedError as error:
            raise self._refused("set", error) from None
        except MisuseError as error:
            self._refuse_option(name, str(error))
        self.note_option(option, value)

    def _refuse_option(self, name: str, why: str) -> NoReturn:
        self._refuse(f"set(zmq.{name}, ...)", why)

    def get(self, socket: Any, option: int) -> Any:
        if self._waiters:
            self.used("get")
        try:
            value = self.core.get(int(option))
        except SimulatedError as error:
            raise self._refused("get", error) from None
        if option == zmq.LAST_ENDPOINT and isinstance(value, bytes):
            return self.above(value.decode()).encode()
        return value

    # --- endpoints ------------------------------------------------------------

    def _refuse_transport(self, call: str, endpoint: str) -> None:
        transport = endpoint.partition("://")[0]
        if transport in _TRANSPORTS:
            why = f"{transport} is not simulated; inproc, ipc and tcp are"
            self._refuse(f"{call}({endpoint!r})", why)

    def bind(self, socket: Any, endpoint: Any) -> None:
        text = _checked(endpoint)
        try:
            self.core.bind(self.below(text))
        except SimulatedError as error:
            self._refuse_transport("bind", text)
            raise self._refused("bind", error) from None
        actual = self.above(self.core.last_endpoint)
        self.note("bind", actual)
        self.seat.listener.bound(self.seat, self, text, actual)

    def connect(self, socket: Any, endpoint: Any) -> None:
        text = _checked(endpoint)
        self.seat.listener.connecting(self.seat, self, text)
        try:
            self.core.connect(self.below(text))
        except SimulatedError as error:
            self._refuse_transport("connect", text)
            raise self._refused("connect", error) from None
        self.note("connect", text)

    def unbind(self, socket: Any, endpoint: Any) -> None:
        text = _checked(endpoint)
        try:
            self.core.unbind(self.below(text))
        except SimulatedError as error:
            raise self._refused("unbind", error) from None
        self.note("unbind", text)

    def disconnect(self, socket: Any, endpoint: Any) -> None:
        text = _checked(endpoint)
        try:
            self.core.disconnect(self.below(text))
        except SimulatedError as error:
            raise self._refused("disconnect", error) from None
        self.note("disconnect", text)

    def monitor(self, socket: Any, address: Any, events: int) -> None:
        try:
            self.core.monitor(None if address is None else self.below(_checked(address)), events)
        except SimulatedError as error:
            raise self._refused("monitor", error) from None

    # --- the end --------------------------------------------------------------

    def close(self, socket: Any, linger: int | None) -> None:
        if not self.core.is_closed:
            if self._waiters:
                self.used("close")
            self.core.close(linger)
            self.note_close()

    def is_closed(self, socket: Any) -> bool:
        return self.core.is_closed

    def dispose(self) -> None:
        super().dispose()
        self._beginner = None
        del self.core.tap  # type: ignore[attr-defined]


def _checked(endpoint: Any) -> str:
    if not isinstance(endpoint, (str, bytes)):
        raise TypeError(f"Expected addr to be str, got addr={endpoint!r}")
    return text_of(endpoint)
