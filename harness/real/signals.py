"""What the world of processes lets faults do: whatever a signal does, and one process more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from . import reach
from .relay import Relay

BY_SIGNALS = frozenset({"crash", "restart", "stall"})


def able(transport: str) -> frozenset[str]:
    """The kinds that processes can do. Over inproc there is no such world."""
    return frozenset() if transport == "inproc" else reach.able(transport) | BY_SIGNALS


class Lives(Protocol):
    """Who begins and ends the nodes."""

    def is_alive(self, name: str) -> bool: ...

    def crash(self, name: str) -> None: ...

    def leave(self, name: str) -> None: ...

    def start(self, name: str, *, renamed: bool) -> None: ...

    def stall(self, name: str) -> None: ...

    def resume(self, name: str) -> None: ...

    def visit(self, name: str, link: str, talk: Callable[..., None]) -> None: ...


class ProcessesReach(reach.RealReach):
    """See the top of this file, and `faults.Reach` for what each method means.

    Args:
        lives: Who begins and ends the nodes.
        wake: Lets the conductor look when it is to `tick` again.
        relay: What connections pass through.
    """

    def __init__(self, lives: Lives, wake: Callable[[], None], relay: Relay) -> None:
        super().__init__(lives.is_alive, lives.leave, lives.visit, wake, relay)
        self.crash = lives.crash
        self.start = lives.start
        self.stall = lives.stall
        self.resume = lives.resume
