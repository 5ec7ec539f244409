"""Histories written by hand: a few lines that say what happened, for checkers to judge."""

from __future__ import annotations

from typing import Any

import reqrep
from reqrep import Event, Fleet, Scenario, Verdict
from reqrep.harness.catalogue import claim
from reqrep.harness.property import judge

MS = 1_000_000


class Story:
    """A history of a pattern, one line after the other, a millisecond apart.

    Args:
        pattern: Its name.
        clients: How many clients the fleet has.
    """

    def __init__(self, pattern: str, clients: int = 2) -> None:
        self.scenario = Scenario(reqrep.pattern(pattern), Fleet(clients, 2))
        self.events: list[Event] = []
        self._sockets: dict[str, int] = {}

    def add(self, node: str, kind: str, *, after_ms: int = 1, **fields: Any) -> Story:
        time_ns = (self.events[-1].time_ns if self.events else 0) + after_ms * MS
        self.events.append(Event(time_ns, node, kind, **fields))
        return self

    def socket(self, name: str, type_: str, link: str, *, binds: bool = False) -> Story:
        """A socket of a node, named `node/anything`, at a link."""
        node = name.partition("/")[0]
        number = self._sockets[name] = len(self._sockets) + 1
        self.add(node, "socket", socket=number, text=type_)
        if binds:
            return self.binds(name, link)
        return self.add(node, "connect", socket=number, text=f"inproc://{link}")

    def binds(self, name: str, link: str) -> Story:
        """A socket binds the endpoint of a link, one more perhaps."""
        node = name.partition("/")[0]
        endpoint = f"inproc://{link}"
        self.add(node, "bind", socket=self._sockets[name], text=endpoint)
        return self.add(node, "link", text=link, frames=(endpoint.encode(),))

    def send(self, name: str, *frames: bytes, after_ms: int = 1) -> Story:
        return self._cross(name, "send", frames, after_ms)

    def recv(self, name: str, *frames: bytes, after_ms: int = 1) -> Story:
        return self._cross(name, "recv", frames, after_ms)

    def _cross(self, name: str, kind: str, frames: tuple[bytes, ...], after_ms: int) -> Story:
        node = name.partition("/")[0]
        socket = self._sockets[name]
        return self.add(node, kind, after_ms=after_ms, socket=socket, frames=frames)

    def judge(self, *names: str) -> Verdict:
        """The verdict of one property."""
        (verdict,) = judge([claim(name) for name in names], self.scenario, self.events)
        return verdict


def dealer_router(clients: int = 2) -> Story:
    """Clients and a server of `dealer-router`, with their sockets open."""
    story = Story("dealer-router", clients).socket("server-0/s", "ROUTER", "service", binds=True)
    for number in range(clients):
        story.socket(f"client-{number}/s", "DEALER", "service")
    return story


def load_balancing() -> Story:
    """A broker, two workers and two clients of `load-balancing`."""
    return _brokered("load-balancing", "REQ")


def paranoid_pirate() -> Story:
    """The same of `paranoid-pirate`."""
    return _brokered("paranoid-pirate", "DEALER")


def _brokered(pattern: str, worker: str) -> Story:
    story = Story(pattern)
    story.socket("broker-0/front", "ROUTER", "frontend", binds=True)
    story.socket("broker-0/back", "ROUTER", "backend", binds=True)
    for number in range(2):
        story.socket(f"worker-{number}/s", worker, "backend")
        story.socket(f"client-{number}/s", "REQ", "frontend")
    return story
