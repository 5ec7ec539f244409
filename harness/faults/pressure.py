"""Pipes that are full after a few messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..values import require_count
from .fault import Fault


class Pressure(Fault, frozen=True, tag="pressure"):
    """Sockets have a low high-water mark: after a few messages a pipe is full.

    A send then waits, or gives EAGAIN, and a ROUTER without ROUTER_MANDATORY drops the message.
    SNDHWM and RCVHWM are `hwm` when a socket is made; a program may set less, and whatever sets
    more, or 0 for no mark at all, gets `hwm`. libzmq sizes a pipe when it is made, so this is in
    force from before the load to the end.

    Between the two marks lies the network, in a real one the kernel's buffers too: over tcp and
    ipc a pipe takes some megabytes more, in a simulation 208 KiB. Over inproc there is nothing
    between, and the marks of both ends add. A peer that stops reading is `Stall` or `Hold`; many
    requests at once are `Workload(arrival=Bursts(...))`, and big ones `Workload(bodies=...)`.

    Args:
        hwm: How many messages at most, 1 or more.
        node: Of which node; None is all nodes.
    """

    summary = "the sockets of a node, or of all, have a high-water mark of a few messages"
    example = "pressure:hwm=1,node=broker-0"
    tells_itself = True
    from_the_start = True

    hwm: int
    node: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("Pressure.hwm", self.hwm)

    def is_shown_by(self, row: tuple[Any, ...]) -> bool:
        return row[2] == "socket" and self.node in (None, row[1])


def hwm_limit(faults: Sequence[Fault], node: str) -> int | None:
    """The greatest high-water mark that the sockets of a node may have; None is any."""
    return min(
        (
            fault.hwm
            for fault in faults
            if isinstance(fault, Pressure) and fault.node in (None, node)
        ),
        default=None,
    )
