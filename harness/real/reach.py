"""What the real worlds let faults do: to threads little, since one cannot be ended from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn

from ..errors import HarnessBug

ABLE = frozenset({"noop", "late", "raises", "stranger"})
"""The kinds that threads can do."""


class RealReach:
    """What threads and processes have in common; see `faults.Reach` for what each method means.

    Args:
        is_alive: Whether a node runs, by its name.
        visit: Begins a new node.
    """

    def __init__(
        self,
        is_alive: Callable[[str], bool],
        visit: Callable[[str, str, Callable[..., None]], None],
    ) -> None:
        self.is_alive = is_alive
        self.visit = visit
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        heappush(self._due, (time.monotonic() + seconds, next(self._numbers), callback))

    def tick(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            heappop(self._due)[2]()

    def obey(self) -> None:
        pass  # Nothing that threads can do is done to a node from outside.

    def _cannot(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise HarnessBug("a fault that threads cannot do was not refused before the run")

    slow = unslow = hold = release = cut = mend = reset = is_connected = skew = _cannot


class ThreadsReach(RealReach):
    """The reach of the world `threads`."""

    crash = start = stall = resume = RealReach._cannot
