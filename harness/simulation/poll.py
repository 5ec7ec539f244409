"""Waiting for several sockets at once.

Source: docs/clauses.md, 5.11. A result is a snapshot: a receive after POLLIN may still find only
messages that REQ or REP skip.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import constants as c
from .scheduler import Scheduler
from .sockets.base import Socket


class _Poll(tuple[tuple[Socket, int], ...]):
    """Why a task waits, put into words only when somebody asks: the sockets and what is wanted."""

    __slots__ = ()

    def __str__(self) -> str:
        parts = []
        for socket, flags in self:
            wanted = [
                name for bit, name in ((c.POLLIN, "input"), (c.POLLOUT, "room")) if flags & bit
            ]
            verb = "receive" if flags & c.POLLIN else "send"
            parts.append(
                f"{' or '.join(wanted) or 'nothing'} on {socket} ({socket.waits_for(verb)})"
            )
        return "poll for " + ", ".join(parts)


def poll(
    scheduler: Scheduler, items: Sequence[tuple[Socket, int]], timeout_ms: int = -1
) -> list[int]:
    """The events of each socket, among those that are asked for, as soon as there are any.

    Args:
        items: Sockets, each with POLLIN, POLLOUT or both.
        timeout_ms: How long to wait; 0 not at all, negative for ever.

    Raises:
        SimulatedError: ETERM, ENOTSOCK.
    """
    # Each is asked for both, whatever is wanted, as libzmq does: to ask changes the order of pipes.
    found = [socket.events() & wanted for socket, wanted in items]
    if any(found) or not items:
        return found
    if timeout_ms == 0:
        scheduler.fruitless()
        return found  # One look, as libzmq: what a look changes at a peer the next one shows.
    task = scheduler.current
    assert task is not None, "a poll that waits, outside of any task"
    deadline_ns = scheduler.now_ns + timeout_ms * c.NS_PER_MS if timeout_ms > 0 else None
    reason = _Poll(items)
    for socket, _ in items:
        socket.waiters.append(task)
    try:
        while True:
            in_time = scheduler.park(reason, deadline_ns)
            # A socket with nothing a moment ago and no command since has nothing now.
            found = [
                socket.events() & wanted if socket.mailbox or socket.refusal else 0
                for socket, wanted in items
            ]
            if any(found) or not in_time:
                return found
    finally:
        for socket, _ in items:
            socket.waiters.remove(task)
