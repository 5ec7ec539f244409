"""Functions of pyzmq that take sockets, where these are simulated."""

from __future__ import annotations

from typing import Any

import zmq
import zmq.backend

from ..simulation.constants import SimulatedError
from ..simulation.poll import poll as _core_poll
from ..simulation.proxy import proxy as _core_proxy
from . import seat as seats
from .simulating import SimulatingTap, zmq_error
from .simulating_seat import SimulatingSeat

_raw_poll: Any = zmq.backend.zmq_poll
_current = seats.current


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
        raise zmq_error(error) from None
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
