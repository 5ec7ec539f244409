"""Checks a plan of faults against what it is for, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..errors import MisuseError
from ..fleet import Fleet
from ..pattern import Pattern, no_such
from ..values import require
from ..workload import NS_PER_S, ClosedLoop, Sized, Workload, planned_times
from .crash import Crash
from .delay import Delay
from .fault import Fault, OnService, Upon
from .late import Late
from .leave import Leave
from .partition import Partition
from .points import receiving_roles, serving_roles
from .restart import Restart
from .scene import node_names, pairs, ways_of_messages
from .stranger import Stranger
from .throttle import Throttle


def check(faults: Sequence[Fault], pattern: Pattern, fleet: Fleet, workload: Workload) -> None:
    """Refuse a plan that cannot be carried out.

    Raises:
        MisuseError: A fault names a node or a link that is not there, or nodes that do not
            meet; it strikes what is dead, or after the end, as far as can be known.
    """
    for fault in faults:
        if not isinstance(fault, Fault):
            raise MisuseError(
                f"an entry of Scenario.faults is {fault!r}; give a fault, such as "
                "reqrep.Cut('frontend', at=0.1)"
            )
        _check_place(fault, pattern, fleet)
        _check_time(fault, pattern, fleet, workload)
    _check_lives(faults)
    _check_patience(faults, pattern, workload)


def _check_place(fault: Fault, pattern: Pattern, fleet: Fleet) -> None:
    nodes = node_names(pattern, fleet)
    links = [link.name for link in pattern.links]
    link, node = fault.where
    named = [node, *fault.at.named] if isinstance(fault.at, Upon) else [node]
    if isinstance(fault, Partition):
        named += fault.nodes
    for name in named:
        if name is not None and name not in nodes:
            raise MisuseError(f"{fault!r}: {no_such('node', name, nodes, pattern.name)}")
    if link is not None and link not in links:
        raise MisuseError(f"{fault!r}: {no_such('link', link, links, pattern.name)}")
    if link is not None and node is not None and not pairs(pattern, fleet, link, node):
        raise MisuseError(
            f"{fault!r}: {node} is not at the link {link!r} of {pattern.name!r}; leave one of them out"
        )
    if isinstance(fault, Partition) and not fault.pairs(pattern, fleet):
        raise MisuseError(
            f"{fault!r}: none of these nodes meets one that is not among them, so there is nothing to "
            "cut; leave out those whom the others are to be cut off from"
        )
    if isinstance(fault, Stranger) and "client" not in pattern.link(fault.link).connects:
        raise MisuseError(
            f"{fault!r}: a stranger comes beside the clients, and none connect to {fault.link!r}; name "
            f"{' or '.join(link.name for link in pattern.links if 'client' in link.connects)}"
        )
    workers = node_names(pattern, fleet, *serving_roles(pattern))
    if isinstance(fault, OnService) and node is not None and node not in workers:
        raise MisuseError(
            f"{fault!r}: {node} has no service; name one of {', '.join(workers)}, or leave it out"
        )
    if isinstance(fault, Restart) and node is not None and node.startswith("client-"):
        raise MisuseError(
            f"{fault!r}: a client is not restarted, since its requests would begin anew; use Crash, "
            "and give the fleet one client more"
        )
    if (upon := fault.upon_message) is not None:
        if not ways_of_messages(pattern, fleet, upon.source, upon.target):
            raise MisuseError(
                f"{fault!r}: no request or reply goes from {upon.source or 'any node'} to "
                f"{upon.target or 'any node'} in {pattern.name!r}; {_ways_out(pattern, fleet, upon)}"
            )
    elif isinstance(fault.at, Upon) and fault.at.node is not None:
        _check_point(fault, fault.at.node, fault.at.point, workers, pattern, fleet)


def _ways_out(pattern: Pattern, fleet: Fleet, upon: Upon) -> str:
    """From and to whom messages go that the nodes of a point do send, or get."""
    to = [target for _, target in ways_of_messages(pattern, fleet, upon.source, None)]
    by = [source for source, _ in ways_of_messages(pattern, fleet, None, upon.target)]
    known = [
        f"{upon.source} sends them to {' and '.join(to) or 'nobody'}" if upon.source else "",
        f"{upon.target} gets them from {' and '.join(by) or 'nobody'}" if upon.target else "",
    ]
    return ", ".join(filter(None, known))


def _check_point(
    fault: Fault, node: str, point: str, workers: list[str], pattern: Pattern, fleet: Fleet
) -> None:
    has_service = node in workers
    receives = node in node_names(pattern, fleet, *receiving_roles(pattern))
    if has_service or (receives and point in ("arriving", "replied")):
        return
    what = "has no service" if receives else "receives no requests"
    raise MisuseError(
        f"{fault!r}: {node} {what}, so no request is ever {point} there; name one of "
        f"{', '.join(workers)}, or leave the node out"
    )


def _check_time(fault: Fault, pattern: Pattern, fleet: Fleet, workload: Workload) -> None:
    if isinstance(fault.at, Upon):
        return
    longest_s = max(_longest_s(client, fleet, workload) for client in (0, fleet.clients - 1))
    require(
        fault.at <= longest_s,
        f"{fault.name}.at",
        fault.at,
        f"the load is over after {longest_s:g} s at the latest: let it strike before, or ask for "
        "more requests",
    )


def _longest_s(client: int, fleet: Fleet, workload: Workload) -> float:
    """How long the load of a client lasts if every single request of its runs into its time-out."""
    share = workload.share_of(client, fleet.clients)
    arrival = workload.arrival
    if isinstance(arrival, ClosedLoop):
        return share * (workload.timeout_s + arrival.think_time_s)
    last_ns = max(islice(planned_times(arrival, client, fleet.clients, 0), share), default=0)
    return last_ns / NS_PER_S + share * workload.timeout_s


def _check_patience(faults: Sequence[Fault], pattern: Pattern, workload: Workload) -> None:
    """Refuse what makes an op take longer than it may stay open: its end would be the plan's doing."""
    later_s = sum(fault.by_s for fault in faults if isinstance(fault, Late))
    require(
        later_s < workload.timeout_s,
        "Late.by_s, all taken together,",
        later_s,
        f"an op may stay open for {workload.timeout_s:g} s: take less, or raise Workload.timeout_s",
    )
    hops = sum(hop.carries != "control" for hop in pattern.hops)
    for fault in faults:
        if isinstance(fault, Delay):
            require(
                hops * fault.greatest_ms / 1000 < workload.timeout_s,
                "Delay.greatest_ms",
                fault.greatest_ms,
                f"an op crosses {hops} hops and may stay open for {workload.timeout_s:g} s: take "
                "less, or raise Workload.timeout_s",
            )
        elif isinstance(fault, Throttle):
            _check_bandwidth(fault, pattern, workload)


def _check_bandwidth(fault: Throttle, pattern: Pattern, workload: Workload) -> None:
    """Refuse what a body cannot cross in time, where its size is known."""
    bodies = workload.bodies
    if not isinstance(bodies, Sized) or (fault.lasts or workload.timeout_s) < workload.timeout_s:
        return  # What it keeps back goes on at once when it is healed.
    hops = sum(hop.carries != "control" and fault.link in (None, hop.link) for hop in pattern.hops)
    body = bodies.bytes * bodies.frames
    require(
        hops * body / fault.bytes_per_s < workload.timeout_s,
        "Throttle.bytes_per_s",
        fault.bytes_per_s,
        f"a body of {body} bytes crosses {hops} such hops and an op may stay open for "
        f"{workload.timeout_s:g} s: take more, send less, or raise Workload.timeout_s",
    )


def _check_lives(faults: Sequence[Fault]) -> None:
    """Refuse to strike a node that is certainly dead then."""
    planned = [fault for fault in faults if not isinstance(fault.at, Upon)]
    for death in planned:
        if not isinstance(death, Crash | Leave | Restart):
            continue
        for fault in planned:
            if fault is death or fault.from_the_start or fault.where[1] != death.node:
                continue
            assert not isinstance(death.at, Upon) and not isinstance(fault.at, Upon)
            begins_s, ends_s = death.at, death.at + (death.duration_s or 0.0)
            is_after = (fault.at, _index(faults, fault)) > (begins_s, _index(faults, death))
            is_for_good = not isinstance(death, Restart)
            if is_after and (is_for_good or fault.at < ends_s):
                until = "for good" if is_for_good else f"until {ends_s:g} s"
                raise MisuseError(
                    f"{fault!r} strikes {death.node}, which is dead from {begins_s:g} s on {until} by "
                    f"{death!r}; let it strike before, or strike another node"
                )


def _index(faults: Sequence[Fault], fault: Fault) -> int:
    return next(index for index, entry in enumerate(faults) if entry is fault)
