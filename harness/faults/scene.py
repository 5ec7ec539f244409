"""Where faults strike: the nodes of a scenario, and what the world can do to them.

Two faults may overlap: what both hold is held until the last of them lets go.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING, Protocol

from ..values import require

if TYPE_CHECKING:
    from ..fleet import Fleet
    from ..pattern import Pattern

Pair = tuple[str, str]
Look = Callable[[Sequence[bytes], bool], Callable[[], None] | None]
"""Shown a message by the beginnings of its frames, and whether it has come; says what is to be done."""

DIRECTIONS = {
    "both": "neither sends nor receives",
    "in": "receives nothing, and what it sends arrives",
    "out": "sends nothing that arrives, and receives",
}
"""Which of the two ways between a node and its peers are concerned, as the node sees it."""

SEEN_BY = ("both", "connector", "binder")
"""Who of the two at the ends of a connection sees that it breaks."""


class Reach(Protocol):
    """What a world lets faults do. A world that cannot do a kind refuses it before it begins.

    Nodes are given by name. Nothing is counted here: each call takes effect.
    """

    def slow(self, source: str, target: str, least_s: float, greatest_s: float) -> None:
        """The latency of one way; from now on."""

    def unslow(self, source: str, target: str) -> None:
        """The usual latency again."""

    def throttle(self, source: str, target: str, bytes_per_s: int) -> None:
        """The bandwidth of one way, for each connection; from now on."""

    def unthrottle(self, source: str, target: str) -> None:
        """The usual bandwidth again, also for what waits already."""

    def hold(self, source: str, target: str) -> None:
        """Let nothing through one way, and lose nothing."""

    def release(self, source: str, target: str) -> None:
        """Let through what was held."""

    def cut(self, one: str, other: str) -> None:
        """Break the connections between two nodes, and allow no new ones."""

    def mend(self, one: str, other: str) -> None:
        """Allow connections again."""

    def reset(self, one: str, other: str, seen_by: str) -> None:
        """Break the connections between two nodes; who does not see it keeps a half-open one."""

    def is_connected(self, one: str, other: str) -> bool:
        """Whether there is something to break."""

    def is_alive(self, node: str) -> bool:
        """Whether the program of a node runs, or stands still."""

    def crash(self, node: str) -> None:
        """End a node as `kill -9` does."""

    def leave(self, node: str) -> None:
        """Tell a node to end; what it has sent lingers."""

    def start(self, node: str, *, renamed: bool) -> None:
        """Run the program of a node that has crashed anew, perhaps under another name."""

    def stall(self, node: str) -> None:
        """Let a node make no step; its kernel goes on."""

    def resume(self, node: str) -> None:
        """Let it go on."""

    def skew(self, node: str, seconds: float) -> None:
        """Let the wall clock of a node jump."""

    def visit(self, name: str, link: str, talk: Callable[..., None]) -> None:
        """Let a new node connect to a link: it runs `talk(context, endpoints, name)`."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back after a while."""

    def look_at(self, source: str, target: str, look: Look | None) -> None:
        """From now on show what goes one way; None is to nobody any more.

        Each whole message is shown just before it comes to the target, and once more when
        it has. What `look` answers is done before anything else passes between the two.
        """

    def tick(self) -> float | None:
        """Some time has passed, in a world that cannot call back by itself.

        Returns:
            After how many seconds it wants to hear that again; None if nothing is due.
        """

    def obey(self) -> None:
        """Whoever's turn it is suffers now what was done to its node: it ends, or stands still."""


class Scene:
    """See the top of this file.

    Args:
        pattern, fleet: Those of the scenario.
        reach: What the world gives.
    """

    def __init__(self, pattern: Pattern, fleet: Fleet, reach: Reach) -> None:
        self.pattern = pattern
        self.fleet = fleet
        self._reach = reach
        # Nodes may be threads, and what is counted and what is done must not fall apart. Nothing
        # that is done to a link lets another node have its turn.
        self._lock = threading.Lock()
        self._held: Counter[Pair] = Counter()
        self._cut: Counter[Pair] = Counter()
        self._stalled: Counter[str] = Counter()
        self._visitors = count()
        self._latencies: dict[Pair, list[tuple[float, float]]] = {}
        self._bandwidths: dict[Pair, list[int]] = {}
        self.is_alive = reach.is_alive
        self.leave = reach.leave
        self.start = reach.start
        self.skew = reach.skew
        self.obey = reach.obey
        self.later = reach.later
        self.look_at = reach.look_at
        self.tick = reach.tick

    # --- who meets whom -------------------------------------------------------

    def pairs(self, link: str | None, node: str | None) -> list[Pair]:
        """Who meets at a link, connector first; of a node, only those with it in."""
        return pairs(self.pattern, self.fleet, link, node)

    def ways(self, link: str | None, node: str | None, direction: str = "both") -> list[Pair]:
        """The ways between those who meet, from source to target, as `DIRECTIONS` has them."""
        both = [
            way for one, other in self.pairs(link, node) for way in ((one, other), (other, one))
        ]
        if direction == "both":
            return both
        return [way for way in both if way[direction == "in"] == node]

    def ways_of_messages(self, source: str | None, target: str | None) -> list[Pair]:
        """The ways on which requests or replies go, from a node or to one, or all."""
        return ways_of_messages(self.pattern, self.fleet, source, target)

    # --- what goes wrong ------------------------------------------------------

    def slow(self, way: Pair, least_s: float, greatest_s: float) -> None:
        """Another latency on one way; the latest that stands counts."""
        with self._lock:
            self._latencies.setdefault(way, []).append((least_s, greatest_s))
            self._reach.slow(*way, least_s, greatest_s)

    def unslow(self, way: Pair, least_s: float, greatest_s: float) -> None:
        """Take one back."""
        with self._lock:
            standing = self._latencies[way]
            standing.remove((least_s, greatest_s))
            if standing:
                self._reach.slow(*way, *standing[-1])
            else:
                self._reach.unslow(*way)

    def throttle(self, way: Pair, bytes_per_s: int) -> None:
        """Another bandwidth of one way; the narrowest that stands counts."""
        with self._lock:
            standing = self._bandwidths.setdefault(way, [])
            standing.append(bytes_per_s)
            self._reach.throttle(*way, min(standing))

    def unthrottle(self, way: Pair, bytes_per_s: int) -> None:
        """Take one back."""
        with self._lock:
            standing = self._bandwidths[way]
            standing.remove(bytes_per_s)
            if standing:
                self._reach.throttle(*way, min(standing))
            else:
                self._reach.unthrottle(*way)

    def hold(self, way: Pair) -> None:
        """Let nothing through one way."""
        with self._lock:
            self._held[way] += 1
            if self._held[way] == 1:
                self._reach.hold(*way)

    def release(self, way: Pair) -> None:
        """Let it through again, unless another fault holds it."""
        with self._lock:
            self._held[way] -= 1
            if not self._held[way]:
                self._reach.release(*way)

    def cut(self, pair: Pair) -> None:
        """Break what connects two nodes for a while."""
        with self._lock:
            self._cut[pair] += 1
            if self._cut[pair] == 1:
                self._reach.cut(*pair)

    def mend(self, pair: Pair) -> None:
        """Allow connections again, unless another fault cuts them."""
        with self._lock:
            self._cut[pair] -= 1
            if not self._cut[pair]:
                self._reach.mend(*pair)

    def reset(self, pair: Pair, seen_by: str) -> None:
        """Break what connects two nodes, as `SEEN_BY` has it."""
        self._reach.reset(*pair, seen_by)

    def is_connected(self, pair: Pair) -> bool:
        """Whether there is something to break between two nodes."""
        return self._reach.is_connected(*pair)

    def crash(self, node: str) -> None:
        """End a node as `kill -9` does; one that stood still stands no more, and makes no step."""
        self._reach.crash(node)
        if self._stalled.pop(node, 0):
            self._reach.resume(node)

    def stall(self, node: str) -> None:
        """Let a node make no step."""
        self._stalled[node] += 1
        if self._stalled[node] == 1:
            self._reach.stall(node)

    def resume(self, node: str) -> None:
        """Let it go on, unless another fault stalls it, or it has died of one meanwhile."""
        if self._stalled[node]:
            self._stalled[node] -= 1
            if not self._stalled[node]:
                self._reach.resume(node)

    def visit(self, role: str, link: str, talk: Callable[..., None]) -> None:
        """Let a new node connect to a link."""
        self._reach.visit(f"{role}-{next(self._visitors)}", link, talk)

    def is_stalled(self, node: str) -> bool:
        """Whether a node makes no step now."""
        return self._stalled[node] > 0


def node_names(pattern: Pattern, fleet: Fleet, *roles: str) -> list[str]:
    """The names of all nodes of a fleet, or of those in some roles."""
    return [
        f"{role.name}-{number}"
        for role in pattern.roles
        if not roles or role.name in roles
        for number in range(pattern.count(role.name, fleet))
    ]


def ways_of_messages(
    pattern: Pattern, fleet: Fleet, source: str | None, target: str | None
) -> list[Pair]:
    """The ways, from source to target, on which requests or replies go; None is any node."""
    found: dict[Pair, None] = {}
    for hop in pattern.hops:
        if hop.carries != "control":
            for one in node_names(pattern, fleet, hop.sender):
                for other in node_names(pattern, fleet, hop.receiver):
                    if source in (None, one) and target in (None, other):
                        found[one, other] = None
    return list(found)


def pairs(pattern: Pattern, fleet: Fleet, link: str | None, node: str | None) -> list[Pair]:
    """Who meets at a link, or at any; see `Scene.pairs`."""
    found: dict[Pair, None] = {}  # Nodes that meet at two links are one pair.
    for place in pattern.links:
        if link in (None, place.name):
            for one in node_names(pattern, fleet, *place.connects):
                for other in node_names(pattern, fleet, place.binds):
                    if node in (None, one, other) and (other, one) not in found:
                        found[one, other] = None
    return list(found)


def boundary(pattern: Pattern, fleet: Fleet, group: Collection[str]) -> list[Pair]:
    """Who meets across the boundary of a group, connector first."""
    return [
        (one, other)
        for one, other in pairs(pattern, fleet, None, None)
        if (one in group) != (other in group)
    ]


def require_direction(what: str, direction: str, node: str | None) -> None:
    """Refuse a direction that there is not, or that nobody looks from."""
    require(direction in DIRECTIONS, what, direction, f"it must be one of {', '.join(DIRECTIONS)}")
    require(
        direction == "both" or node is not None,
        what,
        direction,
        "in and out are as a node sees them; name the node, or take both",
    )
