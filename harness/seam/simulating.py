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
import zmq.backend

from ..errors import MisuseError
from ..frames import LONG_BYTES, kept
from ..simulation.constants import SimulatedError
from ..simulation.poll import poll as _core_poll
from ..simulation.proxy import proxy as _core_proxy
from . import seat as seats
from .mixins import plain_recv_multipart, plain_send_multipart, recv_multipart, send_multipart
from .seat import Listener, Seat
from .tap import HWM_OPTIONS, SNDMORE, Tap, frame_bytes, option_name, taps, text_of

if TYPE_CHECKING:
    from ..history.recorder import Recorder
    from ..simulation.context import Context
    from ..simulation.scheduler import Scheduler, Task
    from ..simulation.sockets.base import Socket
    from .virtual_asyncio import VirtualLoop

# Mechanisms whose handshake is not simulated: what a program sets would protect nothing here.
_SECURITY = ("CURVE_", "PLAIN_", "GSSAPI_", "ZAP_")

# What libzmq may know, depending on how it was built. What it never knows is its own error.
_TRANSPORTS = ("udp", "pgm", "epgm", "norm", "tipc", "vmci", "vsock", "hyperv", "ws", "wss")

# pyzmq's enums are slow to ask, and a run asks them many times.
_TYPE_NAMES = {int(kind): kind.name for kind in zmq.SocketType}
_DRAFT_TYPES = {
    number: name
    for number, name in _TYPE_NAMES.items()
    if name
    in ("SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL")
}
_OPTION_KINDS = {
    int(option): option._opt_type.name.replace("fd", "int") for option in zmq.SocketOption
}
_OBJECT_BYTES = 8192
_OBJECTS = 131_072
_zeroes = (ctypes.c_char * (_OBJECTS * 8 + _OBJECT_BYTES))()
_addresses = count()
_raw_poll: Any = zmq.backend.zmq_poll
_current = seats.current


def _new_address() -> int:
    """An address that is safe to hand out; it comes round again after 131,072 others."""
    return ctypes.addressof(_zeroes) + 8 * (next(_addresses) % _OBJECTS)


def _zmq_error(error: SimulatedError) -> zmq.ZMQError:
    """What pyzmq raises for an error number."""
    if error.errno == zmq.EAGAIN:
        return zmq.Again()
    if error.errno == zmq.ETERM:
        return zmq.ContextTerminated()
    return zmq.ZMQError(error.errno)


class SimulatingSeat(Seat):
    """A node in a simulation.

    Args:
        node: Its name.
        recorder: Where its events go.
        core: The simulated context that is lent to it.
        listener: Who wants to know what it opens.

    Attributes:
        context: What its program is given.
        tasks: The threads that it started.
        event_loops: The loops of asyncio that it made, in order.
        skew_ns: By how much its wall clock is wrong.
        refusal: The first call that the simulated world does not have, if it made one.
        thread_numbers, task_numbers, executor_numbers: What its threads, its tasks of asyncio
            and the threads of its executors are named by.
    """

    def __init__(self, node: str, recorder: Recorder, core: Context, listener: Listener) -> None:
        super().__init__(node, recorder, listener)
        self.core = core
        self.scheduler: Scheduler = core.simulation.scheduler
        self.tasks: list[Task] = []
        self.event_loops: list[VirtualLoop] = []
        self.refusal: MisuseError | None = None
        self.thread_numbers = count(1)
        self.task_numbers = count(1)
        self.executor_numbers = count()
        self.skew_ns = 0
        self._address = _new_address()
        self._is_lending = False
        with seats.seated(self):
            self.context: zmq.Context[Any] = zmq.Context()
        self._is_lending = True

    @property
    def address(self) -> int:
        return self._address

    def caller(self) -> Task | None:
        return self.scheduler.current

    def refuse(self, what: str, why: str) -> NoReturn:
        """Refuse, by name, what a simulation cannot do.

        The world is told too: the refusal ends the run, wherever the program made the call
        and whatever it does about the error.

        Raises:
            MisuseError: Always.
        """
        error = MisuseError(
            f"{self.node} calls {what}, which the simulated world does not have: {why}; "
            "run this program in the world 'threads'"
        )
        self.refusal = self.refusal or error
        raise error

    def stop(self, *, is_leaving: bool = False) -> None:
        super().stop(is_leaving=is_leaving)
        self.context.closed = True  # The simulation's to end, like those the program made.
        for loop in self.event_loops:
            loop.cancel_all()

    def dispose(self) -> None:
        """The run is over: let go of all that points back here, so that no collector is needed."""
        for tap in self.taps:
            tap.dispose()
        self.taps.clear()
        self.tasks.clear()
        self.event_loops.clear()
        self._held.clear()
        self._instances.clear()
        del self.context

    def begin_context(self, context: Any, io_threads: int) -> None:
        if io_threads < 0:
            raise zmq.ZMQError(zmq.EINVAL)
        if self._is_lending:
            self.has_made(context)

    def begin_socket(
        self, socket: Any, context: Any, kind: int, shadow: int, copy_threshold: int | None
    ) -> Tap:
        if shadow:
            socket.context = self.context
            tap = taps[shadow]
            assert isinstance(tap, SimulatingTap)
            tap.serve(socket)
            return tap
        if context is None or kind == -1:
            raise TypeError("Socket needs a context and a socket type")
        socket.context = context
        if type(socket) is not zmq.Socket:
            self._check_class(type(socket))
        if kind in _DRAFT_TYPES:
            self.refuse(
                f"socket(zmq.{_DRAFT_TYPES[kind]})", "draft sockets are not part of libzmq 4.3"
            )
        if kind == zmq.STREAM:
            self.refuse("socket(zmq.STREAM)", "connections without ZMTP are not modelled")
        try:
            core = self.core.socket(int(kind))
        except SimulatedError as error:
            raise _zmq_error(error) from None
        tap = SimulatingTap(self, socket, core)
        tap.serve(socket)
        return tap

    def _check_class(self, kind: type) -> None:
        if any(cls.__module__.startswith("zmq.green") for cls in kind.__mro__):
            self.refuse("zmq.green", "the hub of gevent waits on real descriptors")


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
        super().__init__(seat, socket, _new_address(), _TYPE_NAMES[core.type])
        if seat.hwm_limit is not None:
            for option in HWM_OPTIONS:
                core.set(option, seat.hwm_limit)

    def _refused(self, call: str, error: SimulatedError) -> zmq.ZMQError:
        self.failed(call, error.errno)
        return _zmq_error(error)

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
        assert isinstance(self.seat, SimulatingSeat)
        self.seat.refuse(f"set(zmq.{name}, ...)", why)

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
            assert isinstance(self.seat, SimulatingSeat)
            why = f"{transport} is not simulated; inproc, ipc and tcp are"
            self.seat.refuse(f"{call}({endpoint!r})", why)

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


# --- functions of pyzmq that take sockets -----------------------------------------


def socket_hash(self: Any) -> int:
    """pyzmq keeps sockets in sets, whose order must not be that of addresses in a simulation."""
    number: int | None = self._number
    return object.__hash__(self) if number is None else number


def zmq_poll(sockets: Any, timeout: int = -1) -> list[tuple[Any, int]]:
    """`zmq.zmq_poll`, on which `Poller`, `select` and `Socket.poll` stand."""
    seat = _current()
    # By type: asking an abstract class whose instance this is costs more than the poll.
    if type(seat) is not SimulatingSeat:
        try:
            answer: list[tuple[Any, int]] = _raw_poll(sockets, timeout)
        except zmq.ContextTerminated:
            if seat is not None:
                seat.met_the_end()
            raise
        return answer
    items = []
    tap: Any = None
    for socket, flags in sockets:
        tap = getattr(socket, "_tap", None)
        if type(tap) is not SimulatingTap:
            seat.refuse(f"poll() for {socket!r}", "a real descriptor would not know the time")
        if tap._waiters:
            tap.used("poll")
        items.append(tap.polled.get(flags) or tap.poll_item(flags))
    if not items:
        return []
    if type(timeout) is not int:
        timeout = int(timeout)
    try:
        events = _core_poll(seat.scheduler, items, timeout)
    except SimulatedError as error:
        if error.errno == zmq.ETERM:
            seat.met_the_end()
        raise _zmq_error(error) from None
    found = []
    for index, event in enumerate(events):
        if event:
            found.append((sockets[index][0], event))
    return found


class _Heard:
    """A simulated socket whose whole messages are written down, for a proxy to forward between."""

    def __init__(self, tap: SimulatingTap) -> None:
        self._tap = tap
        self._core = tap.core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def recv_message(self, flags: int = 0) -> Any:
        message = self._core.recv_message(flags)
        self._tap.crossed(self._tap._scheduler.now_ns, "recv", message)
        return message

    def send_message(self, message: Any, flags: int = 0) -> None:
        kept = list(message)
        self._core.send_message(message, flags)
        self._tap.crossed(self._tap._scheduler.now_ns, "send", kept)


def proxy(front: SimulatingTap, back: SimulatingTap, capture: Any) -> None:
    """`zmq.proxy` between simulated sockets."""
    frontend: Any = _Heard(front)
    backend: Any = frontend if back is front else _Heard(back)
    tee = _Heard(capture._tap) if capture is not None else None
    try:
        _core_proxy(front._scheduler, frontend, backend, tee)  # type: ignore[arg-type]
    except SimulatedError as error:
        raise front._refused("proxy", error) from None
