"""Writes a history down while it happens: from many threads, for the price of a tuple.

Each event is one tuple appended to one list, which is atomic. The tuples become
events, in order of time, when the run is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

from ..frames import find_op, kept
from .event import Event
from .record import History

Row = tuple[Any, ...]
"""The fields of an `Event`, in order, with the time as the clock gave it."""

ENDINGS = frozenset({"end", "crash", "stuck", "left"})
"""What still counts after the run was told to stop; the rest is the sound of closing doors."""


class Recorder:
    """The one list that all nodes of a run write to.

    Args:
        clock: Nanoseconds; what every row begins with.

    Attributes:
        append: Adds one row.
        next_socket: The number of the next socket, from 1.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._rows: list[Row] = []
        self.append = self._rows.append
        self.next_socket = count(1).__next__
        self.clock = clock
        self._begun_ns = self.clock()
        self._stopped_ns: int | None = None

    def note(
        self,
        node: str,
        kind: str,
        *,
        socket: int = 0,
        op: str = "",
        frames: tuple[bytes, ...] = (),
        text: str = "",
        number: int = 0,
    ) -> None:
        """Write down one event, now."""
        kept_frames = kept(frames) if frames else ()
        self.append((self.clock(), node, kind, socket, op, kept_frames, text, number))

    def watch(self, look: Callable[[Row], None]) -> None:
        """Let somebody look at each row once it is written; to be called before any is.

        Whoever writes a row suffers what comes of the look: an exception, or a wait.
        """
        write = self._rows.append

        def append(row: Row) -> None:
            write(row)
            look(row)

        self.append = append

    def has_sent(self, node: str, op: str) -> bool:
        """Whether a message of that op has left that node since it was asked."""
        for row in reversed(self._rows):
            if row[1] == node:
                if row[2] == "send" and find_op(row[5]) == op:
                    return True
                if row[2] == "invoke" and row[4] == op:
                    break
        return False

    def elapsed_ns(self) -> int:
        """Nanoseconds since the run began."""
        return self.clock() - self._begun_ns

    def stop(self) -> None:
        """From now on only how nodes end counts."""
        if self._stopped_ns is None:
            self._stopped_ns = self.clock()

    def history(self, about: dict[str, Any]) -> History:
        """What happened, in order of time.

        An op that nobody ended is `info`: that, too, is an event.
        """
        stopped_ns = self._stopped_ns or self.clock()
        begun_ns = self._begun_ns
        rows = [row for row in self._rows if row[0] <= stopped_ns or row[2] in ENDINGS]
        rows.sort(key=lambda row: row[0])  # Stable: the order of writing breaks ties.
        events = [Event(row[0] - begun_ns, *row[1:]) for row in rows]
        history = History(events, about)
        unended = [
            Event(
                stopped_ns - begun_ns,
                op.invoke.node,
                "info",
                op=op.id,
                text="open when the run ended",
            )
            for op in history.ops.values()
            if not op.outcomes
        ]
        if not unended:
            return history
        events = sorted([*events, *unended], key=lambda event: event.time_ns)
        return History(events, about)
