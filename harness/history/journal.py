"""Keeps a history on disk while the run goes on, so that a run that is killed leaves one behind.

Rows come from many threads and processes, a little late and out of order. What is older than
a horizon is written, in order of time; it has come by then, but for what a node kept back that
stood still. Such a row is written when it comes, and when the run is over the file is written anew,
so that a finished history is in order and complete however it came about.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from operator import itemgetter

from .event import Event
from .record import History
from .recorder import Recorder, Row
from .store import Writer

FLUSH_S = 1.0
"""How often a history is written to its file."""

HORIZON_NS = 250_000_000
"""How long a row may be on its way, in nanoseconds."""


class Journal:
    """See the top of this file.

    Args:
        writer: Where it is kept.
        recorder: Where it comes from.
    """

    def __init__(self, writer: Writer, recorder: Recorder) -> None:
        self._writer = writer
        self._recorder = recorder
        self._taken = 0
        self._waiting: list[Row] = []
        self._written = 0
        self._latest_ns = 0
        self._is_in_order = True
        self._is_torn = False  # Ctrl-C came while it was written.
        self._due_s = time.monotonic() + FLUSH_S

    def look(self) -> None:
        """Write down what there is, if it is time.

        Raises:
            MisuseError: The file cannot be written.
        """
        if time.monotonic() >= self._due_s:
            self.flush()
            self._due_s = time.monotonic() + FLUSH_S

    def flush(self) -> None:
        """Write down all that is older than the horizon.

        Raises:
            MisuseError: The file cannot be written.
        """
        self._is_torn = True
        rows = self._take()
        due = bisect_right(rows, self._recorder.clock() - HORIZON_NS, key=itemgetter(0))
        self._waiting = rows[due:]
        if due:
            begun_ns = self._recorder.begun_ns
            self._latest_ns = rows[due - 1][0]
            self._writer.write(Event(row[0] - begun_ns, *row[1:]) for row in rows[:due])
            self._written += due
        self._is_torn = False

    def _take(self) -> list[Row]:
        """All that has come and is not written yet, in order of time."""
        new = self._recorder.rows_from(self._taken)
        self._taken += len(new)
        rows = sorted(self._waiting + new, key=itemgetter(0))
        self._is_in_order &= not rows or rows[0][0] >= self._latest_ns
        return rows

    def finish(self, history: History) -> None:
        """Complete the file with the history of the whole run, and close it.

        Raises:
            MisuseError: The file cannot be written.
        """
        if self._writer.is_closed:
            return  # It could not be written before, which has ended the run.
        self._take()  # It may be late as well.
        if self._is_torn or not self._is_in_order:
            self._writer.begin_anew()
            self._written = 0
        with self._writer:
            self._writer.write(history.events[self._written :])
