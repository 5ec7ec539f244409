"""What the world of processes lets faults do: whatever a signal does, and one process more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from . import reach

ABLE = reach.ABLE | {"crash", "restart", "stall"}
"""The kinds that processes can do."""


class Lives(Protocol):
    """Who begins and ends the nodes."""

    def is_alive(self, name: str) -> bool: ...

    def crash(self, name: str) -> None: ...

    def start(self, name: str) -> None: ...

    def stall(self, name: str) -> None: ...

    def resume(self, name: str) -> None: ...

    def visit(self, name: str, link: str, talk: Callable[..., None]) -> None: ...


class ProcessesReach(reach.RealReach):
    """See the top of this file, and `faults.Reach` for what each method means.

    Args:
        lives: Who begins and ends the nodes.
    """

    def __init__(self, lives: Lives) -> None:
        super().__init__(lives.is_alive, lives.visit)
        self.crash = lives.crash
        self.start = lives.start
        self.stall = lives.stall
        self.resume = lives.resume
