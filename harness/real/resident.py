"""Nodes on real sockets in this process: where one stands, and how all of them are ended.

Contexts are terminated, so that every call of every node returns; then threads are joined
and sockets closed. What a node left behind is written down.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import zmq

from ..seam.monitor import MonitorHub
from ..seam.recording import RecordingSeat

MAX_SOCKETS = 60_000
"""Of one context; libzmq's own limit of 1,023 is too small for a thousand clients, and each socket
that is watched takes three."""

STACK_DEPTH = 6
"""How many calls of a stack are told, the innermost last."""


class Resident:
    """A node with the thread that its program runs in.

    Args:
        seat: How the seam knows it.

    Attributes:
        thread: Its thread; None before it begins.
    """

    def __init__(self, seat: RecordingSeat) -> None:
        self.seat = seat
        self.thread: threading.Thread | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has begun and is over."""
        return self.thread is not None and not self.thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        if self.thread is not None:
            self.thread.join(timeout_s)

    @property
    def stack(self) -> str:
        """Where it stands, innermost call last."""
        thread = self.thread
        frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
        if frame is None:
            return "(it has ended)"
        return "".join(traceback.format_stack(frame)[-STACK_DEPTH:])


def roomy_context() -> zmq.Context[Any]:
    """A context of the run, with room for many sockets."""
    context: zmq.Context[Any] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, min(MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT)))
    return context


def terminate(context: zmq.Context[Any]) -> threading.Thread:
    """Let every call on a context return; the thread ends when its last socket has lingered."""
    terminator = threading.Thread(target=context.term, name="reqrep-term", daemon=True)
    terminator.start()
    return terminator


def end(
    residents: Sequence[Resident],
    contexts: Sequence[zmq.Context[Any]],
    terminators: Sequence[threading.Thread],
    hub: MonitorHub | None,
    timeout_s: float,
) -> None:
    """End all nodes, who were told to stop.

    Args:
        residents: The nodes.
        contexts: Those that were lent to them.
        terminators: What `terminate` has begun for each of these.
        hub: What listens to their connections.
        timeout_s: How long they may take to return.
    """
    deadline = time.monotonic() + timeout_s
    for resident in residents:
        resident.join(max(0.0, deadline - time.monotonic()))
        if resident.thread is not None and not resident.has_ended:
            resident.seat.note("stuck", text=resident.stack)
    for resident in residents:
        for tap in resident.seat.taps:  # Threads that the program started end as well.
            if tap.thread is not resident.thread:
                # One that was begun by `_thread` alone cannot be awaited, and counts as alive.
                with suppress(AssertionError, RuntimeError):
                    tap.thread.join(max(0.0, deadline - time.monotonic()))
        # The sockets of a thread that is stuck are its own.
        resident.seat.close_sockets(of=lambda thread: not thread.is_alive())
        resident.seat.close_contexts()
    if hub is not None:
        hub.close()
    for terminator, context in zip(terminators, contexts, strict=True):
        terminator.join(max(0.5, deadline - time.monotonic()))
        if terminator.is_alive():
            _blame_for(context, residents)


def _blame_for(context: zmq.Context[Any], residents: Sequence[Resident]) -> None:
    """A context that does not end: a socket is open, or was closed with messages unsent."""
    concerned = [one for one in residents if one.seat.address == context.underlying]
    for resident in concerned:
        for tap in resident.seat.taps:
            if tap.thread.is_alive() and tap.thread is not resident.thread:
                text = f"its thread {tap.thread.name} did not end and has a socket open"
                resident.seat.note("left", text=text)
                return
    for resident in concerned:
        if resident.has_ended:
            resident.seat.note(
                "left",
                text="its context does not end: a socket was closed with LINGER -1 while "
                "messages to a peer that is gone were unsent",
            )
            return
