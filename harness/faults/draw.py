"""Draws faults for a search, and makes them smaller for a shrinking.

A field is drawn by what it is called, so a new kind needs nothing here unless it has a field
of a new name. What does not fit the scenario, such as a node that is not at the link, is
drawn once more: `check` is the judge of that, as for any plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from ..errors import MisuseError
from ..fleet import Fleet
from ..pattern import Pattern
from ..workload import Workload
from .fault import POINTS, WAY_POINTS, Fault, OnService, Upon, When
from .partition import Partition
from .plan import check
from .scene import DIRECTIONS, SEEN_BY, node_names, ways_of_messages

TIMES_S = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1)
"""When a fault may strike: small runs are over in milliseconds."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "lasts": (0.0005, 0.002, 0.01, 0.1, 1.0),
    "after_s": (0.0, 0.001, 0.05, 0.5),
    "by_s": (0.002, 0.05, 0.3, 1.0),
    "nth": (1, 1, 2, 3),
    "direction": tuple(DIRECTIONS),
    "least_ms": (0, 0.1, 1, 50),
    "greatest_ms": (1, 5, 20, 100),
    "bytes_per_s": (1_000, 20_000, 1_000_000),
    "seen_by": SEEN_BY,
    "hwm": (1, 1, 2, 3),
    "renamed": (False, True),
}

ATTEMPTS = 20
"""How often a fault is drawn before it is left out: not each kind fits each pattern."""


def drawn(
    kind: type[Fault],
    random: Random,
    pattern: Pattern,
    fleet: Fleet,
    workload: Workload,
    *,
    has_network: bool = True,
) -> Fault | None:
    """A fault of a kind that fits a scenario; None if none was found.

    Over inproc, where there is no network, nothing is seen on its way.
    """
    for _ in range(ATTEMPTS):
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            optional = not field.required and random.random() < 0.5
            match field.name:
                case "at":
                    values["at"] = _when(kind, random, pattern, fleet, has_network)
                case "link" if not optional:
                    values["link"] = random.choice(pattern.links).name
                case "node" if not optional:
                    values["node"] = random.choice(node_names(pattern, fleet))
                case "nodes":
                    names = node_names(pattern, fleet)
                    group = random.sample(names, random.randrange(1, len(names)))
                    values["nodes"] = tuple(name for name in names if name in group)
                case name if name in _CHOICES:
                    values[name] = random.choice(_CHOICES[name])
        try:
            fault = kind(**values)
        except MisuseError:
            continue
        if is_fit((fault,), pattern, fleet, workload):
            return fault
    return None


def is_fit(faults: Sequence[Fault], pattern: Pattern, fleet: Fleet, workload: Workload) -> bool:
    """Whether a plan can be carried out in a scenario."""
    try:
        check(faults, pattern, fleet, workload)
    except MisuseError:
        return False
    return True


def _when(
    kind: type[Fault], random: Random, pattern: Pattern, fleet: Fleet, has_network: bool
) -> When:
    if kind.from_the_start:
        return 0.0
    if issubclass(kind, OnService) or random.random() < 0.5:
        return random.choice(TIMES_S)
    ways = ways_of_messages(pattern, fleet, None, None) if has_network else []
    if ways and random.random() < 0.5:
        source, target = random.choice(ways)
        return Upon(
            random.choice(list(WAY_POINTS)),
            count=random.choice((1, 1, 2, 3)),
            source=random.choice((source, source, None)),
            target=random.choice((target, target, None)),
        )
    node = random.choice([None, *node_names(pattern, fleet)])
    return Upon(random.choice(list(POINTS)), node, random.choice((1, 1, 2, 3)))


def simpler(fault: Fault) -> Iterator[Fault]:
    """The same fault with one field shorter to read: what a shrinking tries."""
    for field in msgspec.structs.fields(fault):
        value = getattr(fault, field.name)
        tried: list[Any] = []
        if field.name == "at":
            tried = [0.0]
            if isinstance(value, Upon):
                plainer: dict[str, Any] = {"node": None, "source": None, "target": None, "count": 1}
                tried += [value.replace(**{name: plain}) for name, plain in plainer.items()]
        elif field.name == "nth":
            tried = [1]
        elif field.name == "nodes":
            tried = [tuple(name for name in value if name != left) for left in value]
        elif field.name in ("lasts", "by_s", "after_s"):
            tried = [0.1, 1.0]
        elif not field.required and field.default is not msgspec.NODEFAULT:
            tried = [field.default]
        for other in tried:
            try:
                candidate: Fault = fault.replace(**{field.name: other})
            except MisuseError:
                continue
            if len(repr(candidate)) < len(repr(fault)):
                yield candidate


def within(faults: Sequence[Fault], pattern: Pattern, fleet: Fleet) -> tuple[Fault, ...]:
    """The same faults in a smaller fleet: who is gone is replaced by the last of its role."""
    nodes = node_names(pattern, fleet)

    def there(name: str) -> str:
        role = name.rpartition("-")[0]
        return name if name in nodes else [n for n in nodes if n.rpartition("-")[0] == role][-1]

    def moved(fault: Fault) -> Fault:
        changes: dict[str, Any] = {}
        if (node := fault.where[1]) is not None:
            changes["node"] = there(node)
        if isinstance(fault, Partition):
            changes["nodes"] = tuple(dict.fromkeys(map(there, fault.nodes)))
        if isinstance(fault.at, Upon) and fault.at.named:
            places = {name: getattr(fault.at, name) for name in ("node", "source", "target")}
            named = {name: there(place) for name, place in places.items() if place is not None}
            changes["at"] = fault.at.replace(**named)
        return fault.replace(**changes) if changes else fault

    return tuple(map(moved, faults))
