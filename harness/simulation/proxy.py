"""`zmq_proxy`: moves messages between two sockets until the context ends.

Source: docs/clauses.md, 5.10.
"""

from __future__ import annotations

from . import constants as c
from .constants import SimulatedError
from .poll import poll
from .scheduler import Scheduler
from .sockets.base import Socket

BURST = 1000
"""How many messages move in one direction before the other has its turn."""


def proxy(
    scheduler: Scheduler, frontend: Socket, backend: Socket, capture: Socket | None = None
) -> None:
    """Forward until an error, which for a healthy proxy is ETERM.

    Args:
        frontend, backend: May be the same socket, which then echoes.
        capture: Gets a copy of each message, before it is sent on.

    Raises:
        SimulatedError: Whatever ended it.
    """
    if frontend is backend:
        while True:
            poll(scheduler, [(frontend, c.POLLIN)])
            _burst(frontend, backend, capture)
    while True:
        # What is ready to be read only counts when the other side can take it, so that
        # requests wait in the pipes of the clients while there is no worker.
        wanted_front, wanted_back = c.POLLIN, c.POLLIN
        front, back = poll(scheduler, [(frontend, wanted_front), (backend, wanted_back)])
        if front and not backend.events() & c.POLLOUT:
            front = 0
        if back and not frontend.events() & c.POLLOUT:
            back = 0
        if front:
            _burst(frontend, backend, capture)
        if back:
            _burst(backend, frontend, capture)
        if not front and not back:
            _await_change(scheduler, frontend, backend)


def _await_change(scheduler: Scheduler, frontend: Socket, backend: Socket) -> None:
    """There is input that cannot be sent on: wait until either side has news."""
    task = scheduler.current
    assert task is not None, "a proxy waits, and this is no task"
    for socket in (frontend, backend):
        socket.waiters.append(task)
    try:
        scheduler.park(f"proxy between {frontend} and {backend}, awaiting room or input")
    finally:
        for socket in (frontend, backend):
            socket.waiters.remove(task)


def _burst(source: Socket, target: Socket, capture: Socket | None) -> None:
    for _ in range(BURST):
        try:
            message = source.recv_message(c.DONTWAIT)
        except SimulatedError as error:
            if error.errno == c.EAGAIN:
                return
            raise
        if capture is not None:
            capture.send_message(message)
        target.send_message(message)
