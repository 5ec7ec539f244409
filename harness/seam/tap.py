"""A tap: what stands behind one socket of a node, and writes down what goes through it."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import zmq

from ..frames import LONG_BYTES, kept

if TYPE_CHECKING:
    from .seat import Seat

SNDMORE = int(zmq.SNDMORE)
"""As a plain number: arithmetic on pyzmq's flag enums costs more than sending a frame."""

_KIND_OF: dict[int | None, str] = {
    zmq.EFSM: "efsm",
    zmq.EAGAIN: "again",
    zmq.EHOSTUNREACH: "unreachable",
}

taps: dict[int, Tap] = {}
"""The taps of all open sockets, by the address of the socket, for shadows to find."""


INPROC = "inproc://"

HWM_OPTIONS = (int(zmq.SNDHWM), int(zmq.RCVHWM))

_OPTION_NAMES = {int(option): option.name for option in zmq.SocketOption}


def text_of(endpoint: str | bytes) -> str:
    """An endpoint as pyzmq takes it, as text."""
    return endpoint.decode() if isinstance(endpoint, bytes) else endpoint


def option_name(option: int) -> str:
    """The name of a socket option, or its number where pyzmq has no name for it."""
    return _OPTION_NAMES.get(option) or str(option)


class Tap(ABC):
    """One socket of a node; `mixins.py` hands all calls of the socket to it.

    Attributes:
        number: The number of the socket in the history.
        address: Of the socket below.
        thread: Who made it, and alone may use it; see `Seat.caller`.
        serves_link: Whether it connects to a link of the pattern.
    """

    __slots__ = (
        "_agains",
        "_append",
        "_clock",
        "_incoming",
        "_node",
        "_outgoing",
        "address",
        "number",
        "seat",
        "serves_link",
        "socket",
        "thread",
    )

    def __init__(self, seat: Seat, socket: Any, address: int, kind: str) -> None:
        self.seat = seat
        self.number = seat.recorder.next_socket()
        self.socket = weakref.ref(socket)
        self.address = address
        self.thread = seat.caller()
        self.serves_link = False
        self._node = seat.node
        self._append = seat.recorder.append
        self._clock = seat.recorder.clock
        self._outgoing: list[bytes] = []
        self._incoming: list[bytes] = []
        self._agains = 0
        taps[address] = self
        seat.taps.append(self)
        self.note("socket", kind)

    # --- what a world defines -------------------------------------------------

    @abstractmethod
    def send(self, socket: Any, data: Any, flags: int, copy: bool, track: bool) -> Any: ...

    @abstractmethod
    def recv(self, socket: Any, flags: int, copy: bool, track: bool) -> Any: ...

    @abstractmethod
    def recv_into(self, socket: Any, buffer: Any, nbytes: int, flags: int) -> int: ...

    @abstractmethod
    def send_multipart(
        self, socket: Any, parts: Any, flags: int, copy: bool, track: bool, more: dict[str, Any]
    ) -> Any: ...

    @abstractmethod
    def recv_multipart(self, socket: Any, flags: int, copy: bool, track: bool) -> Any: ...

    @abstractmethod
    def set(self, socket: Any, option: int, value: Any) -> None: ...

    @abstractmethod
    def get(self, socket: Any, option: int) -> Any: ...

    @abstractmethod
    def bind(self, socket: Any, endpoint: Any) -> None: ...

    @abstractmethod
    def connect(self, socket: Any, endpoint: Any) -> None: ...

    @abstractmethod
    def unbind(self, socket: Any, endpoint: Any) -> None: ...

    @abstractmethod
    def disconnect(self, socket: Any, endpoint: Any) -> None: ...

    @abstractmethod
    def monitor(self, socket: Any, address: Any, events: int) -> None: ...

    @abstractmethod
    def close(self, socket: Any, linger: int | None) -> None: ...

    @abstractmethod
    def is_closed(self, socket: Any) -> bool: ...

    def dispose(self) -> None:
        """The run is over, but the program may have put the socket where it outlives that."""
        self.thread = None

    def below(self, endpoint: Any) -> str:
        """An endpoint as the socket below gets it; a world may lead it elsewhere still.

        Over inproc all nodes share one context, where as processes each would have its own. So
        an inproc name that is not the run's gets the name of the node in front.
        """
        text = text_of(endpoint)
        if text.startswith(INPROC) and not self.seat.listener.is_known(text):
            return f"{INPROC}{self._node}/{text.removeprefix(INPROC)}"
        return text

    def above(self, endpoint: str) -> str:
        """The same endpoint as the program knows it."""
        return endpoint.replace(f"{INPROC}{self._node}/", INPROC, 1)

    def limited(self, option: int, value: Any) -> Any:
        """A value of an option as the socket below gets it: a fault may keep pipes small."""
        limit = self.seat.hwm_limit
        if limit is None or option not in HWM_OPTIONS or not isinstance(value, int):
            return value
        return limit if value == 0 or value > limit else value

    # --- writing down ---------------------------------------------------------

    def note(self, kind: str, text: str = "", number: int = 0, frame: bytes | None = None) -> None:
        """Write down an event of this socket, now."""
        frames = () if frame is None else (frame,)
        self._append((self._clock(), self._node, kind, self.number, "", frames, text, number))

    def note_option(self, option: int, value: Any) -> None:
        """Write down that an option was set."""
        if isinstance(value, int):
            self.note("option", option_name(option), number=int(value))
        else:
            self.note("option", option_name(option), frame=bytes(value))

    def note_close(self) -> bool:
        """Write down that the socket was closed; False if that was done before.

        A shadow of a socket that is gone has no right to close what lives at its address now.
        """
        if taps.get(self.address) is not self:
            return False
        del taps[self.address]
        self.note("close")
        return True

    def crossed(self, time_ns: int, kind: str, frames: list[bytes]) -> None:
        """Write down a whole message."""
        if self._agains:
            self._end_of_agains()
        for frame in frames:
            if len(frame) > LONG_BYTES:
                self._append((time_ns, self._node, kind, self.number, "", kept(frames)))
                return
        self._append((time_ns, self._node, kind, self.number, "", tuple(frames)))

    def frame_sent(self, time_ns: int, frame: bytes, more: bool) -> None:
        """Put a frame to the message that is being sent; write it down when it is whole."""
        self._outgoing.append(frame)
        if not more:
            frames, self._outgoing = self._outgoing, []
            self.crossed(time_ns, "send", frames)

    def frame_received(self, frame: bytes, more: bool) -> None:
        """The same for a message that is being received."""
        self._incoming.append(frame)
        if not more:
            frames, self._incoming = self._incoming, []
            self.crossed(self._clock(), "recv", frames)

    def failed(self, call: str, errno: int | None) -> None:
        """Write down a call that failed, if the failure is one that the protocol knows.

        A program that polls with NOBLOCK gives up thousands of times in a row: the
        first is written down, and when the row is over how many followed.
        """
        kind = _KIND_OF.get(errno)
        if kind == "again":
            if self._agains == 0:
                self.note(kind, call)
            self._agains += 1
        elif kind is not None:
            self.note(kind, call)
        elif errno == zmq.ETERM:
            self.seat.met_the_end()

    def _end_of_agains(self) -> None:
        if self._agains > 1:
            self.note("again", "repeated", self._agains - 1)
        self._agains = 0


def frame_bytes(data: Any) -> bytes:
    """What pyzmq sends of an object that it takes as a frame."""
    if type(data) is bytes:
        return data
    return data.bytes if isinstance(data, zmq.Frame) else bytes(memoryview(data))
