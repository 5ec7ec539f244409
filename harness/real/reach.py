"""What the real worlds let faults do: what is between nodes, or in what they are given.

Of power over a node a thread gives little: it cannot be ended from outside, nor stopped, but its
context can be terminated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn

from ..errors import HarnessBug
from ..faults import NEED_NETWORK
from ..faults.scene import Pair, ways_of_messages
from ..scenario import Scenario
from .relay import Relay

NEED_NOTHING = frozenset({"noop", "late", "raises", "blank", "stranger", "pressure"})


def able(transport: str) -> frozenset[str]:
    """The kinds that threads can do.

    Over inproc there are no connections, and all nodes share one context, which ends as a whole.
    """
    return NEED_NOTHING if transport == "inproc" else NEED_NOTHING | NEED_NETWORK | {"leave"}


def relayed(scenario: Scenario) -> list[Pair]:
    """The nodes between which connections have to be relayed, for its faults to get at them."""
    found: list[Pair] = []
    for fault in scenario.faults:
        if fault.needs_network:
            found += fault.pairs(scenario.pattern, scenario.nodes)
        if (upon := fault.upon_message) is not None:
            found += ways_of_messages(scenario.pattern, scenario.nodes, upon.source, upon.target)
    return found


class RealReach:
    """What threads and processes have in common; see `faults.Reach` for what each method means.

    Args:
        is_alive: Whether a node runs, by its name.
        leave: Tells a node to end.
        visit: Begins a new node.
        wake: Lets the conductor look when it is to `tick` again.
        relay: What connections pass through.
    """

    def __init__(
        self,
        is_alive: Callable[[str], bool],
        leave: Callable[[str], None],
        visit: Callable[[str, str, Callable[..., None]], None],
        wake: Callable[[], None],
        relay: Relay,
    ) -> None:
        self.is_alive = is_alive
        self.leave = leave
        self.visit = visit
        self._wake = wake
        self.slow = relay.slow
        self.unslow = relay.unslow
        self.throttle = relay.throttle
        self.unthrottle = relay.unthrottle
        self.hold = relay.hold
        self.release = relay.release
        self.cut = relay.cut
        self.mend = relay.mend
        self.reset = relay.reset
        self.is_connected = relay.is_connected
        self.look_at = relay.look_at
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        heappush(self._due, (time.monotonic() + seconds, next(self._numbers), callback))
        self._wake()

    def tick(self) -> float | None:
        while self._due and self._due[0][0] <= time.monotonic():
            heappop(self._due)[2]()
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def obey(self) -> None:
        pass  # What is done to a process it suffers at once, and to a thread nothing is done.

    def _cannot(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise HarnessBug("a fault that this world cannot do was not refused before the run")

    skew = _cannot


class ThreadsReach(RealReach):
    """The reach of the world `threads`."""

    crash = start = stall = resume = RealReach._cannot
