"""Reads the messages of a history by the layouts of a pattern, once for all checkers.

A message event says which socket it crossed. What a socket is there for follows
from the endpoints it bound or connected: the world notes which endpoint is which
link. Role, link and direction give the hops that are possible there, and their
layouts say what the frames mean.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .faults import is_strangers
from .frames import Layout, LayoutMismatch, Reading, adapted, find_op, layout as layout_of
from .history import Event
from .pattern import Hop, Pattern

LEARNED = frozenset({"link", "socket", "bind", "connect"})
"""The kinds of event that tell what sockets are there for."""


@dataclass(slots=True)
class Crossing:
    """One message at one end of a hop. Shared by all checkers: not to be changed.

    Args:
        role, link: Where it was seen.
        hop: Which hop it is; None when it fits none.
        layout: The layout that it has, or should have.
        reading: Its named frames and its body; None when it fits no hop.
        op: The op it carries; None for control traffic and for a body that lost its op id.
        peer: The routing id in front, as a ROUTER sees it; None elsewhere.
        problem: Why it fits no hop; empty when it does.
    """

    role: str
    link: str
    hop: Hop | None
    layout: Layout | None
    reading: Reading | None
    op: str | None
    peer: bytes | None
    problem: str


class Lens:
    """Knows what each socket is there for, and reads its messages.

    Args:
        pattern: Whose layouts are used.
        strangers: Whether there are any, whose messages are not those of the fleet.
    """

    def __init__(self, pattern: Pattern, *, strangers: bool = False) -> None:
        self._strangers = strangers
        self._links: dict[str, str] = {}  # endpoint -> link
        self._endpoints: defaultdict[int, list[str]] = defaultdict(list)
        self._places: dict[int, tuple[str, str]] = {}
        self.types: dict[int, str] = {}
        self._last: tuple[Event, Crossing | None] | None = None
        self._pattern = pattern
        # (role, link, type of socket, direction) -> the hops that are possible there.
        self._hops: dict[tuple[str, str, str, str], list[tuple[Hop, Layout]]] = {}

    def learn(self, event: Event) -> None:
        """Take in what an event says about sockets and endpoints."""
        kind = event.kind
        if kind == "link":
            self._links[event.frames[0].decode()] = event.text
        elif kind == "bind" or kind == "connect":
            self._endpoints[event.socket].append(event.text)
        elif kind == "socket":
            self.types[event.socket] = event.text

    def place(self, event: Event) -> tuple[str, str] | None:
        """The role and the link that the event's socket serves; None for a socket of the node's own."""
        found = self._places.get(event.socket)
        if found is None:
            for endpoint in self._endpoints.get(event.socket, ()):
                link = self._links.get(endpoint)
                if link is not None:
                    found = self._places[event.socket] = event.node.rpartition("-")[0], link
                    break
        return found

    def crossing(self, event: Event) -> Crossing | None:
        """Read the message of a `send` or `recv`; None on a socket that serves no link."""
        last = self._last
        if last is not None and last[0] is event:
            return last[1]
        crossing = self._read(event)
        self._last = event, crossing
        return crossing

    def _possible(self, role: str, link: str, type_: str, kind: str) -> list[tuple[Hop, Layout]]:
        """The hops at one end of a link, with their layouts for that type of socket."""
        key = role, link, type_, kind
        found = self._hops.get(key)
        if found is None:
            declared = self._pattern.link(link).socket_of(role)
            found = self._hops[key] = []
            # Control words first: `[W]["READY"]` must not be read as a body.
            for hop in sorted(self._pattern.hops, key=lambda hop: hop.carries != "control"):
                end, text = (
                    (hop.sender, hop.sent) if kind == "send" else (hop.receiver, hop.received)
                )
                if end == role and hop.link == link:
                    found.append((hop, layout_of(adapted(text, declared, type_))))
        return found

    def _read(self, event: Event) -> Crossing | None:
        if self._strangers and is_strangers(event.node, event.frames):
            return None
        place = self.place(event)
        if place is None:
            return None
        role, link = place
        possible = self._possible(role, link, self.types[event.socket], event.kind)
        for hop, layout in possible:
            reading = layout.match(event.frames)
            if reading is None:
                continue
            op = find_op(reading.body) if hop.carries != "control" else None
            peer = event.frames[0] if layout.text[1:2].isupper() else None
            return Crossing(role, link, hop, layout, reading, op, peer, "")
        wanted: Layout | None = None
        problem = "no message is laid out here"
        if possible:
            wanted = possible[-1][1]
            try:
                wanted.read(event.frames)
            except LayoutMismatch as mismatch:
                problem = str(mismatch)
        return Crossing(role, link, None, wanted, None, find_op(event.frames), None, problem)
