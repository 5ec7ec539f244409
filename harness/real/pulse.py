"""Notices when the machine stands still, so that no node is blamed for what the machine did.

A thread of the run wants to wake up twenty times a second. When it wakes up late, so did
everybody else: the machine was busy with others, or slept, or somebody held the interpreter.
"""

from __future__ import annotations

import threading

from ..history.event import MACHINE
from ..history.recorder import Recorder

BEAT_S = 0.05
"""How long it waits, and how late it must wake up for a pause to be noted, in seconds."""

BEAT_NS = int(BEAT_S * 1_000_000_000)


class Pulse:
    """See the top of this file.

    Args:
        recorder: Where pauses are written down, each with the time when it began.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="reqrep-pulse", daemon=True)

    def begin(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        clock = self._recorder.clock
        due_ns = clock() + BEAT_NS
        while not self._ended.wait(BEAT_S):
            now_ns = clock()
            if now_ns - due_ns > BEAT_NS:
                self._recorder.append((due_ns, MACHINE, "paused", 0, "", (), "", now_ns - due_ns))
            due_ns = now_ns + BEAT_NS
