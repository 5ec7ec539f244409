"""What the driver of a client gets: the clock, the sockets and the notes of its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from .errors import PeerError
from .seam.seat import Seat
from .seam.tap import Tap
from .workload import NS_PER_S


class ClientStage:
    """The stage of one client; see `drive.Stage`.

    Args:
        seat: Of its node.
        clock: Nanoseconds since the run began.
        wait: Waits for so many seconds, but not past the end of the run.
    """

    def __init__(self, seat: Seat, clock: Callable[[], int], wait: Callable[[float], Any]) -> None:
        self._seat = seat
        self._wait = wait
        self.note = seat.note
        self.clock = clock

    @property
    def stopping(self) -> bool:
        return self._seat.stopping

    def sleep_until(self, time_ns: int) -> None:
        remaining_ns = time_ns - self.clock()
        if remaining_ns > 0:
            self._wait(remaining_ns / NS_PER_S)

    def poll(self, until_ns: int) -> bool:
        sockets = self._sockets()
        if not sockets and any(map(self._is_own, self._seat.taps)):
            self.sleep_until(until_ns)  # Between two requests, each on a socket of its own.
            return False
        if not sockets:
            raise PeerError(
                f"the client {self._seat.node} has send() and recv() but no open socket of its own "
                "thread, connected to the pattern, on which its input could be awaited; "
                "give it call(body) -> body"
            )
        remaining_ms = max(0, -((self.clock() - until_ns) // 1_000_000))
        return bool(zmq.zmq_poll([(socket, zmq.POLLIN) for socket in sockets], remaining_ms))

    def can_send(self) -> bool:
        sockets = self._sockets()
        return not sockets or bool(zmq.zmq_poll([(socket, zmq.POLLOUT) for socket in sockets], 0))

    def _sockets(self) -> list[zmq.Socket[Any]]:
        """The client's open sockets that connect to a link, and that this thread may use."""
        found = []
        for tap in self._seat.taps:
            if self._is_own(tap):
                socket = tap.socket()
                if socket is not None and not socket.closed:
                    found.append(socket)
        return found

    def _is_own(self, tap: Tap) -> bool:
        return tap.serves_link and tap.thread is self._seat.caller()

    def has_sent(self, op: str) -> bool:
        return self._seat.recorder.has_sent(self._seat.node, op)
