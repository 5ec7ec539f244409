"""When libzmq has nothing more to do: all its threads sleep.

A test of libzmq that pauses and hopes fails on a loaded machine, where a thread may get its
turn later than the pause. The kernel knows better: a thread that has something to do, and be
it that it waits for a turn, is running; one that waits for its mailbox or for the network
sleeps. Connections over loopback are between sockets of the same I/O thread, so that once it
sleeps nothing is under way but what timers will do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress

THREADS = "/proc/self/task"
NAME = "ZMQbg"
"""How libzmq calls its threads."""

SAMPLES = 3
"""The kernel may deliver a packet a moment late; so the threads must sleep more than once."""


class LibzmqThreads:
    """The threads of the contexts of this process.

    Args:
        besides: Threads that are not meant, as those of the contexts before.
    """

    def __init__(self, besides: Collection[str] = ()) -> None:
        self._besides = besides
        self._states: dict[str, int] = {}  # Descriptors of the files that tell the state.

    def __len__(self) -> int:
        return len(self._states)

    def look(self) -> None:
        """Find the threads: call it after the first socket of a context was made."""
        for number in os.listdir(THREADS):
            if number in self._states or number in self._besides:
                continue
            with suppress(OSError):  # A thread may end while we look.
                with open(f"{THREADS}/{number}/comm") as file:
                    if not file.read().startswith(NAME):
                        continue
                self._states[number] = os.open(f"{THREADS}/{number}/stat", os.O_RDONLY)

    def are_asleep(self) -> bool:
        """Whether none of them runs or waits for its turn."""
        for number, descriptor in list(self._states.items()):
            try:
                told = os.pread(descriptor, 80, 0)
            except OSError:
                os.close(self._states.pop(number))  # It has ended.
                continue
            if told[told.rindex(b")") + 2 :][:1] != b"S":
                return False
        return True

    def wait_quiet(self, limit_ms: int) -> bool:
        """Wait until they all sleep, and stay so; False if they do not in time."""
        self.look()
        until = time.monotonic() + limit_ms / 1000
        quiet = 0
        while quiet < SAMPLES:
            if time.monotonic() > until:
                return False
            quiet = quiet + 1 if self.are_asleep() else 0
            time.sleep(0.001)
        return True

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._states.values():
            os.close(descriptor)
        self._states.clear()
