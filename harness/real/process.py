"""One node's process, as the harness sees it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path
from socket import socket
from typing import Any

from ..history.event import DIED
from ..node import Node
from .channel import Channel, Tag
from .nursery import output_of

DEATH_MS = 2000
"""How long a signal that nobody can refuse may take to have its effect."""

STEP_S = 0.0002
"""How often it is asked whether it stands still: nobody tells that to who is not its parent."""

TAIL_BYTES = 2000
"""How much is told of what a node has printed."""


class FarTap:
    """Stands for one socket of the node; see `barrier.Ear`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.serves_link = False

    def note(self, kind: str, text: str = "") -> None:
        pass  # What its connections do the node writes down itself.


class FarDriver:
    """Stands for the driver of a client, which tells now and then how far it is."""

    def __init__(self) -> None:
        self.answered = 0
        self.latencies_ns: list[int] = []
        self.is_done = False
        self.is_through = False
        self.open_since_ns: int | None = None
        self._planned_ns: dict[str, int] = {}

    def tells(
        self, answered: int, open_since_ns: int | None, is_done: bool, is_through: bool
    ) -> None:
        self.open_since_ns = open_since_ns
        # What was told before may arrive after: nothing of the rest is ever taken back.
        self.answered = max(answered, self.answered)
        self.is_done |= is_done
        self.is_through |= is_through

    def asked(self, op: str, planned_ns: int) -> None:
        self._planned_ns[op] = planned_ns

    def ended(self, op: str, now_ns: int, *, is_ok: bool) -> None:
        """An op has ended: the call that made it is over, before the driver has told so."""
        self.open_since_ns = None
        planned_ns = self._planned_ns.pop(op, None)
        if is_ok and planned_ns is not None:
            self.latencies_ns.append(now_ns - planned_ns)


class Process:
    """See the top of this file.

    Args:
        number: Which of the run's processes, from 1.
        node: The node that lives in it.
        connection: To the process, this end.
        folder: Where its output goes.

    Attributes:
        has_ended: Whether the life of the node is over.
        has_exited: Whether the process is no more, and all that it wrote was read.
        pid: Its number, once it was forked.
        is_stuck: Whether it has said that it is.
        is_leaving: Whether it was told to end before the others.
        heard_s: When it said something last, or could again, on the clock that never goes back.
        replies: What it said to questions, by their number.
    """

    def __init__(self, number: int, node: Node, connection: socket, folder: Path) -> None:
        self.number = number
        self.node = node
        self.channel = Channel(connection)
        self.driver = FarDriver()
        self.has_ended = False
        self.has_exited = False
        self.is_stuck = False
        self.is_leaving = False
        self.heard_s = time.monotonic()
        self.replies: dict[int, Any] = {}
        self._output = output_of(folder, number, node.name)
        self._taps: dict[int, FarTap] = {}
        self.pid: int | None = None
        self._descriptor: int | None = None
        self._lock = threading.RLock()  # No signal goes to a descriptor that is being closed.

    @property
    def is_alive(self) -> bool:
        return self._descriptor is not None and not (
            self.has_ended or self.has_exited or self.node.is_killed or self.is_leaving
        )

    def tap(self, number: int) -> FarTap:
        """What stands for one of its sockets."""
        return self._taps.setdefault(number, FarTap(number))

    def say(self, tag: Tag, content: Any = None, number: int = 0) -> None:
        """Tell the process something, if it is there to hear it."""
        try:
            self.channel.send(tag, content, number)
        except OSError:
            pass

    # --- its life and death -----------------------------------------------------

    def is_born(self, pid: int, descriptor: int) -> None:
        """It was forked; what is known of it is a descriptor, since numbers are used again."""
        self.pid, self._descriptor = pid, descriptor

    def kill(self) -> None:
        """End it, and wait until its sockets are gone."""
        self.node.is_killed = True
        with self._lock:
            self._signal(signal.SIGKILL)
            if self._descriptor is not None:
                death = select.poll()
                death.register(self._descriptor, select.POLLIN)
                death.poll(DEATH_MS)

    def leave(self) -> None:
        """Let it end by itself."""
        self.is_leaving = True
        self.say(Tag.LEAVE)

    def stall(self) -> None:
        """Let it make no step, and wait until it makes none."""
        self._signal(signal.SIGSTOP)
        deadline = time.monotonic() + DEATH_MS / 1000
        while self.is_alive and self._state() not in "TtZX" and time.monotonic() < deadline:
            time.sleep(STEP_S)

    def resume(self) -> None:
        """Let it go on."""
        self.heard_s = time.monotonic()
        self._signal(signal.SIGCONT)

    def _state(self) -> str:
        """The letter that the kernel has for what it does."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return "X"
        return stat.rpartition(b") ")[2][:1].decode()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._descriptor is not None:
                try:
                    signal.pidfd_send_signal(self._descriptor, number)
                except ProcessLookupError:
                    pass  # It has ended by itself.

    def close(self) -> None:
        """It is no more, or the harness has done with it."""
        self.has_exited = True
        self.channel.close()
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    # --- what it left -----------------------------------------------------------

    @property
    def tail(self) -> str:
        """The end of what it has printed, as a passage of a message; empty if it has not."""
        return tail_of(self._output)


def tail_of(output: Path) -> str:
    """The end of a file that holds what a process has printed; see `Process.tail`."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace").strip()
    except OSError:
        return ""
    return f"it has printed at last:\n{text}\n" if text else ""


def death_of(status: int) -> str:
    """How a process ended that nobody had told to, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = f" ({signal.Signals(number).name})"
        except ValueError:
            name = ""
        return f"{DIED}was ended by signal {number}{name}"
    return f"{DIED}ended with status {os.WEXITSTATUS(status)} before it was told to"
