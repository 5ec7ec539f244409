"""Ground: sockets of one program, simulated or real, without a fleet and without waiting.

For tests that call sockets one by one and look after each call: nothing is ever awaited, since
over inproc what was sent is there. After each call `rest` lets all sockets hear what the
others did.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import zmq

from .history.recorder import Recorder
from .seam.patches import virtually
from .seam.seat import Seat
from .seam.simulating_seat import SimulatingSeat
from .seam.tap import Tap
from .simulation.simulation import Simulation


class Ground:
    """Where sockets are made; close it in the end.

    Args:
        simulated: Whether they are simulated; otherwise they are libzmq's.

    Attributes:
        context: What makes the sockets.
    """

    def __init__(self, *, simulated: bool) -> None:
        self._stack = ExitStack()
        self._sockets: list[Any] = []
        self._simulation: Simulation | None = None
        if simulated:
            self._stack.enter_context(virtually())
            simulation = self._simulation = Simulation()
            recorder = Recorder(lambda: simulation.scheduler.now_ns)
            core = simulation.context("the test")
            seat = SimulatingSeat("the test", recorder, core, _Nobody())
            self.context: zmq.Context[Any] = seat.context
            self._stack.callback(core.shutdown)
            self._stack.callback(seat.stop)
        else:
            self.context = zmq.Context()
            self._stack.callback(self.context.term)

    def keep(self, socket: Any) -> Any:
        """Remember a socket, to let it hear what others do, and to close it."""
        self._sockets.append(socket)
        self._stack.callback(socket.close, linger=0)
        return socket

    def rest(self) -> None:
        """Let each socket hear what the others did.

        Asked for its events a socket looks into its mailbox; before a send it may not.
        """
        if self._simulation is not None:
            self._simulation.run()
        for socket in self._sockets:
            socket.getsockopt(zmq.EVENTS)

    def close(self) -> None:
        """Close all sockets, then the context."""
        self._stack.close()


class _Nobody:
    """Wants to know nothing of what is opened."""

    def bound(self, seat: Seat, tap: Tap, requested: str, endpoint: str) -> None:
        pass

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None:
        pass

    def is_known(self, endpoint: str) -> bool:
        return True
