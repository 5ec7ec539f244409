"""What the simulated world lets faults do: its network, its kernel, its scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .faults import KINDS, NEED_NETWORK
from .faults.scene import Look
from .simulation.link import LATENCY_GREATEST_NS, LATENCY_LEAST_NS
from .simulation.simulation import Simulation
from .workload import NS_PER_S

NEED_CONTEXT = frozenset({"crash", "leave", "restart"})


def able(transport: str) -> frozenset[str]:
    """The kinds that a simulation can do.

    Over inproc there is no network, and all nodes share one context, which dies as a whole.
    """
    kinds = frozenset(KINDS)
    return kinds - NEED_NETWORK - NEED_CONTEXT if transport == "inproc" else kinds


class Lives(Protocol):
    """Who begins and ends the nodes."""

    def is_alive(self, name: str) -> bool: ...

    def crash(self, name: str) -> None: ...

    def leave(self, name: str) -> None: ...

    def start(self, name: str, *, renamed: bool) -> None: ...

    def seat_of(self, name: str) -> Any: ...

    def visit(self, name: str, link: str, talk: Callable[..., None]) -> None: ...


class SimulatedReach:
    """See the top of this file, and `faults.Reach` for what each method means.

    Args:
        simulation: Where the nodes live.
        lives: Who begins and ends them.
    """

    def __init__(self, simulation: Simulation, lives: Lives) -> None:
        self._lives = lives
        self._scheduler = simulation.scheduler
        network = self._network = simulation.network
        self.is_alive = lives.is_alive
        self.crash = lives.crash
        self.leave = lives.leave
        self.start = lives.start
        self.visit = lives.visit
        self.hold = network.hold
        self.release = network.release
        self.cut = network.cut
        self.mend = network.mend
        self.reset = network.reset
        self.stall = self._scheduler.stall
        self.resume = self._scheduler.resume
        self.obey = self._scheduler.obey

    def slow(self, source: str, target: str, least_s: float, greatest_s: float) -> None:
        way = self._network.way(source, target)
        way.set_latency(int(least_s * NS_PER_S), int(greatest_s * NS_PER_S))

    def unslow(self, source: str, target: str) -> None:
        self._network.way(source, target).set_latency(LATENCY_LEAST_NS, LATENCY_GREATEST_NS)

    def throttle(self, source: str, target: str, bytes_per_s: int) -> None:
        self._network.way(source, target).set_bandwidth(bytes_per_s)

    def unthrottle(self, source: str, target: str) -> None:
        self._network.way(source, target).set_bandwidth(None)

    def is_connected(self, one: str, other: str) -> bool:
        return bool(self._network.connections(one, other))

    def look_at(self, source: str, target: str, look: Look | None) -> None:
        def show(message: Sequence[bytes], has_passed: bool) -> None:
            assert look is not None
            strike = look(message, has_passed)
            if strike is not None:
                strike()

        self._network.way(source, target).look = None if look is None else show

    def skew(self, node: str, seconds: float) -> None:
        self._lives.seat_of(node).skew_ns += int(seconds * NS_PER_S)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._scheduler.call_later(int(seconds * NS_PER_S), callback)

    def tick(self) -> float | None:
        return None  # The scheduler calls back by itself.
