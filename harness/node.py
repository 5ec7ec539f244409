"""A node of a fleet while it runs: what it has to do before the load can begin, and how it ended."""

from __future__ import annotations

from .drive import Progressing
from .pattern import Link, Role
from .seam.seat import Place


class Node:
    """One node of the fleet.

    Args:
        name: Such as `broker-0`.
        role: Its role.
        number: Which of its role, from 0.
        seat: How the seam knows it.

    Attributes:
        known_as: What its program is told that it is called; another name only after a restart.
        is_visitor: Whether it is none of the fleet.
        driver: What drives it, if it is a client and was made.
        crash: The traceback it ended with; empty if it did not.
        is_killed: Whether a fault has ended it.
        to_bind: What it is given to bind.
        unbound: The links of these that it has not bound yet.
        links_to_connect: On how many links it connects.
        connected: The endpoints of the run that it has connected to.
        is_made: Whether it is a client that was made.
    """

    def __init__(self, name: str, role: Role, number: int, seat: Place) -> None:
        self.name = name
        self.role = role
        self.number = number
        self.seat = seat
        self.is_client = role.name == "client"
        self.known_as = name
        self.is_visitor = False
        self.driver: Progressing | None = None
        self.crash = ""
        self.is_killed = False
        self.to_bind: dict[Link, str] = {}
        self.unbound: list[Link] = []
        self.links_to_connect = 0
        self.connected: set[str] = set()
        self.is_made = False

    @property
    def is_ready(self) -> bool:
        """A client is ready when it was made; any other node when it has bound and connected."""
        if self.is_client:
            return self.is_made
        return not self.unbound and len(self.connected) >= self.links_to_connect
