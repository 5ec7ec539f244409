"""Writes a history down while it happens: from many threads, for the price of a tuple.

Each event is one tuple appended to one list, which is atomic. The tuples become
events, in order of time, when the run is over.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import count
from operator import itemgetter
from typing import Any

from ..frames import find_op, kept
from .event import OUTCOMES, Event
from .record import History

Row = tuple[Any, ...]
"""The fields of an `Event`, in order, with the time as the clock gave it."""

_time_ns: Callable[[Row], int] = itemgetter(0)

ENDINGS = frozenset({"end", "crash", "stuck", "left"})
"""What still counts after the run was told to stop; the rest is the sound of closing doors."""


class Recorder:
    """The one list that all nodes of a run write to.

    Args:
        clock: Nanoseconds; what every row begins with.

    Attributes:
        append: Adds one row.
        next_socket: The number of the next socket, from 1.
        begun_ns: When the run began, on its clock.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._rows: list[Row] = []
        self.append = self._rows.append
        self.next_socket = count(1).__next__
        self.clock = clock
        self.begun_ns = self.clock()
        self._stopped_ns: int | None = None
        self._standing: Mapping[str, str] = {}

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

    def rows_from(self, number: int) -> list[Row]:
        """The rows from the n-th on, in the order in which they were written down."""
        return self._rows[number:]

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
        return self.clock() - self.begun_ns

    def stop(self, standing: Mapping[str, str] | None = None) -> None:
        """From now on only how nodes end counts.

        Args:
            standing: What clients wait for in the middle of a request, as far as that is known.
        """
        if self._stopped_ns is None:
            self._stopped_ns = self.clock()
            self._standing = standing or {}

    def history(self, about: dict[str, Any]) -> History:
        """What happened, in order of time.

        An op that nobody ended is `info`: that, too, is an event.
        """
        stopped_ns = self._stopped_ns or self.clock()
        rows = sorted(self._rows, key=_time_ns)  # Stable: the order of writing breaks ties.
        in_time = bisect_right(rows, stopped_ns, key=_time_ns)
        rows[in_time:] = [row for row in rows[in_time:] if row[2] in ENDINGS]
        begun_ns = self.begun_ns
        if begun_ns:  # Not in a simulation, whose clock begins at 0.
            rows = [(row[0] - begun_ns, *row[1:]) for row in rows]
        events = [Event(*row) for row in rows]
        events[in_time:in_time] = [
            Event(stopped_ns - begun_ns, node, "info", op=op, text=self._open_text(node))
            for op, node in _unended(events).items()
        ]
        return History(events, about)

    def _open_text(self, node: str) -> str:
        waits = self._standing.get(node)
        return "open when the run ended" + (f": {node} waits: {waits}" if waits else "")


def _unended(events: list[Event]) -> dict[str, str]:
    """The ops that were asked and have no outcome, each with its client."""
    asked: dict[str, str] = {}
    ended: set[str] = set()
    for event in events:
        if event.op:
            if event.kind == "invoke":
                asked.setdefault(event.op, event.node)
            elif event.kind in OUTCOMES and event.op in asked:
                ended.add(event.op)
    return {op: node for op, node in asked.items() if op not in ended}
