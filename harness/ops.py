"""What is kept of the ops of a history while it is read: in tables that forget together.

A history may be longer than memory, so whoever reads one keeps of each op only what it
needs, in a table of its own, from op id to anything. An op that has ended stays in all of
them until so many others have ended: what comes late or twice is still seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from .frames import find_op
from .history import Event

KEPT_AFTER_END = 4096
"""Ops that stay known after they ended."""


class Ops:
    """The tables of one reading of a history.

    Attributes:
        asked: The event that asked an op, by its id.
        seen: The last message that carried it, before the one that is looked at.
        known_by: The quick half of `carried_by`, for one frame.
    """

    def __init__(self) -> None:
        self._tables: list[dict[str, Any]] = []
        self._ended: deque[str] = deque()
        # An op id is read off a body once, and then known by the frame that it stands in.
        self._ids: dict[bytes, str] = {}
        self.known_by = self._ids.get
        self._frames: dict[str, list[bytes]] = {}
        self.asked: dict[str, Event] = self.table()
        self.seen: dict[str, Event] = self.table()

    def table(self) -> dict[str, Any]:
        """A new table, from op id to whatever is to be kept of each op."""
        table: dict[str, Any] = {}
        self._tables.append(table)
        return table

    def ask(self, event: Event) -> None:
        """An op was asked: it is known from now on, and by the frame that it was asked with."""
        op, frames = event.op, event.frames
        self.asked[op] = event
        if op not in self._frames and frames and frames[0].startswith(b"@%s " % op.encode()):
            self._frames[op] = [frames[0]]
            self._ids[frames[0]] = op

    def carried_by(self, frames: Sequence[bytes]) -> str | None:
        """The op whose id stands in one of some frames; None if there is none."""
        return (self.known_by(frames[0]) if frames else None) or self.found_in(frames)

    def found_in(self, frames: Sequence[bytes]) -> str | None:
        """The same for frames that nobody knows yet."""
        for frame in frames:
            op = find_op((frame,))
            if op is not None:
                if op not in self._frames and op not in self.asked:
                    self.end(op)  # It may never be heard of again.
                self._frames.setdefault(op, []).append(frame)
                self._ids[frame] = op
                return op
        return None

    def end(self, op: str) -> None:
        """The op has its outcome: it is forgotten when enough others have theirs."""
        self._ended.append(op)
        if len(self._ended) > KEPT_AFTER_END:
            oldest = self._ended.popleft()
            for frame in self._frames.pop(oldest, ()):
                self._ids.pop(frame, None)
            for table in self._tables:
                table.pop(oldest, None)
