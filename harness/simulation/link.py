"""Links: the way from one node to another, and what can be wrong with it.

Each direction is a `Way` of its own, so that one can be held while the other works.
Only what real networks do over TCP can happen: a way delays, is narrow, holds (nothing gets
through, nothing is lost: the peer's kernel sends again later), or is cut (connections
break, new ones are refused). It never reorders or repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import MisuseError
from .constants import NS_PER_MS

if TYPE_CHECKING:
    from .choices import Choices
    from .pipe import Message
    from .scheduler import Scheduler
    from .wire import Wire

T = TypeVar("T")

LATENCY_LEAST_NS = 50_000
LATENCY_GREATEST_NS = 250_000
LATENCY_LEVELS = 5
"""Between how many latencies, the least and the greatest included, a choice decides."""


def _spread(least_ns: int, greatest_ns: int, levels: int) -> tuple[int, ...]:
    if least_ns == greatest_ns or levels == 1:
        return (least_ns,)
    step_ns = (greatest_ns - least_ns) // (levels - 1)
    return tuple(least_ns + step_ns * level for level in range(levels))


DEFAULT_LATENCIES_NS = _spread(LATENCY_LEAST_NS, LATENCY_GREATEST_NS, LATENCY_LEVELS)


class Way:
    """From one node to another.

    Attributes:
        source, target: The nodes.
        is_held, is_cut: What is wrong with it.
        bytes_per_s: How quickly the bytes of one connection cross; None is at once.
        latencies_ns: Between which latencies a choice decides, the least first.
        wires: The directions of connections that lead along it.
        look: Shown each message just before it arrives and once it has; it may break all that is
            here. None is nobody.
    """

    __slots__ = (
        "_choices", "_holds", "_waiting", "bytes_per_s", "choose", "is_cut", "is_held",
        "latencies_ns", "look", "scheduler", "source", "target", "wires",
    )  # fmt: skip

    def __init__(self, scheduler: Scheduler, choices: Choices, source: str, target: str) -> None:
        self.scheduler = scheduler
        self.choose = choices.choose
        self._choices = choices
        self.source = source
        self.target = target
        self.is_held = False
        self.is_cut = False
        self.wires: list[Wire] = []
        self.look: Callable[[Message, bool], None] | None = None
        self._holds = 0
        self._waiting: list[tuple[Callable[[Any], object], Any]] = []
        self.latencies_ns = DEFAULT_LATENCIES_NS
        self.bytes_per_s: int | None = None

    def set_latency(self, least_ns: int, greatest_ns: int, levels: int = LATENCY_LEVELS) -> None:
        """How long a message takes: a choice between so many levels, 0 the least."""
        if not 0 <= least_ns <= greatest_ns or levels < 1:
            raise MisuseError(
                f"latency from {least_ns} to {greatest_ns} ns in {levels} levels: "
                "it must not be negative, nor the least above the greatest"
            )
        self.latencies_ns = _spread(least_ns, greatest_ns, levels)

    def latency_ns(self) -> int:
        """How long the next thing takes."""
        level = self.choose(len(self.latencies_ns), "latency")
        latency_ns = self.latencies_ns[level]
        if level:
            taken_ms = latency_ns / NS_PER_MS
            self._choices.tell(f"what {self.source} sends to {self.target} takes {taken_ms:g} ms")
        return latency_ns

    def set_bandwidth(self, bytes_per_s: int | None) -> None:
        """How quickly bytes cross, also those that wait to cross; handshakes have few, and go free."""
        before, self.bytes_per_s = self.bytes_per_s, bytes_per_s
        if before is not None:
            for wire in self.wires:
                wire.reschedule(before)

    def carry(self, step: Callable[[T], object], argument: T) -> None:
        """Let a step of a handshake happen at the other end."""
        if self.is_held:
            self._waiting.append((step, argument))
        else:
            self.scheduler.push(self.scheduler.now_ns + self.latency_ns(), step, argument)

    def hold(self) -> None:
        """Let nothing through until `release`; only heartbeats break a connection for that."""
        self.is_held = True
        self._holds += 1
        for wire in self.wires:
            self._await_heartbeat(wire, self._holds)

    def _await_heartbeat(self, wire: Wire, hold: int) -> None:
        # Pings themselves are not simulated, since they would keep the clock going for ever:
        # only their absence has an effect, and only a way that is held makes them absent.
        def check() -> None:
            if self.is_held and self._holds == hold and wire in self.wires:
                wire.connection.reset()

        # Pings get no answer whichever way is held; what they say of those to come (TTL) the
        # other end believes, that has heard one at this moment.
        for limit_ms in (wire.source.silence_ms, wire.target.silence_ms, wire.source.ttl_ms):
            if limit_ms is not None:
                self.scheduler.call_later(limit_ms * NS_PER_MS, check)

    def release(self) -> None:
        """Let through what was held, in order."""
        self.is_held = False
        waiting, self._waiting = self._waiting, []
        for step, argument in waiting:
            self.scheduler.push(self.scheduler.now_ns, step, argument)
        for wire in self.wires:
            wire.unstick()
