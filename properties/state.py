"""State of open ops: what a checker may keep, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_AFTER_END = 4096
"""Ops that stay known after they ended, so that what comes late or twice is seen."""


class OpTable(Generic[T]):
    """One entry for each op that is open or ended a while ago.

    Args:
        make: Makes the entry of an op that is new.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._entries: dict[str, T] = {}
        self._ended: deque[str] = deque()

    def __getitem__(self, op: str) -> T:
        entry = self._entries.get(op)
        if entry is None:
            entry = self._entries[op] = self._make()
        return entry

    def get(self, op: str) -> T | None:
        return self._entries.get(op)

    def end(self, op: str) -> None:
        """The op has its outcome; its entry goes when enough others have ended."""
        self._ended.append(op)
        if len(self._ended) > KEPT_AFTER_END:
            self._entries.pop(self._ended.popleft(), None)
