"""Reads the messages of a history by the layouts of a pattern, once for all checkers.

A message event says which socket it crossed. What a socket is there for follows
from the endpoints it bound or connected: the world notes which endpoint is which
link. Role, link and direction give the hops that are possible there, and their
layouts say what the frames mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from .faults import is_strangers
from .frames import Layout, LayoutMismatch, adapted, layout as layout_of
from .history import Event
from .history.event import OUTCOMES
from .ops import Ops
from .pattern import Hop, Pattern

_TELL_OF_SOCKETS = frozenset({"link", "socket", "bind", "connect", "close"})
_END_OPS = frozenset(OUTCOMES)


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """One end of a hop: what a message is that crosses the sockets of one role there.

    Args:
        role, link: Where it is; no link at a socket that serves none.
        type: The type of the sockets.
        kind: `send` or `recv`.
        hop: Which hop; None for what fits none.
        layout: What its messages have, or, where they fit no hop, should have had.
        carries: `request`, `reply` or `control`; empty for what fits no hop.
        ids: The names of the routing ids, each with its place among the frames.
        body_at: Where the body begins.
    """

    role: str
    link: str
    type: str
    kind: str
    hop: Hop | None = None
    layout: Layout | None = None
    carries: str = ""
    ids: tuple[tuple[str, int], ...] = ()
    body_at: int = 0

    @property
    def shows_peer(self) -> bool:
        """Whether the first frame is the routing id of the peer, as with a ROUTER."""
        return bool(self.ids) and self.ids[0][1] == 0

    def problem(self, frames: Sequence[bytes]) -> str:
        """Why a message that fits no hop does not."""
        if self.layout is None:
            return "no message is laid out here"
        try:
            self.layout.read(frames)
        except LayoutMismatch as mismatch:
            return str(mismatch)
        return ""


_STRANGE = {kind: End("stranger", "", "", kind) for kind in ("send", "recv")}
"""Where the messages of strangers cross: at no link, whatever socket it is."""


class _Side(NamedTuple):
    """What may cross the sockets of one type, for one role and its links, in one direction.

    Args:
        ends: Each with the test of its layout, and where the body begins that may carry an op.
        other: Of what fits none of them.
    """

    ends: tuple[tuple[Callable[[Sequence[bytes]], bool], int | None, End], ...]
    other: End


Place = tuple[str, tuple[str, ...], str, str]
"""Role, links, type of socket, and direction."""


class Lens:
    """Knows what each socket is there for, and reads its messages.

    Args:
        pattern: Whose layouts are used.
        strangers: Whether there are any, whose messages are not those of the fleet.

    Attributes:
        ops: What is kept of the ops that were read.
    """

    def __init__(self, pattern: Pattern, *, strangers: bool = False) -> None:
        self.ops = Ops()
        self._pattern = pattern
        self._strangers = strangers
        self._links: dict[str, str] = {}  # endpoint -> link
        self._endpoints: defaultdict[int, list[str]] = defaultdict(list)
        self._types: dict[int, str] = {}
        self._sides = _sides_of(pattern)
        self._of_sockets: dict[str, dict[int, _Side]] = {"send": {}, "recv": {}}
        # REPs that owe an answer to a stranger: it may be words of their own, without its mark.
        self._owing: set[int] = set()

    def readings(self, events: Iterable[Event]) -> Iterator[tuple[Event, End | None, str | None]]:
        """Go through a history: each event and, of a message, where it is and its op.

        Control traffic carries no op, nor does a body that lost its op id; nor is the message
        read of a socket that serves no link, which is the node's own affair. When an event is
        given, `ops` is what was known before it; only an `invoke` is known already.
        """
        ops = self.ops
        known_by, seen, strangers = ops.known_by, ops.seen, self._strangers
        sending, receiving = self._of_sockets["send"].get, self._of_sockets["recv"].get
        for event in events:
            kind = event.kind
            if kind == "send":
                side = sending(event.socket)
            elif kind == "recv":
                side = receiving(event.socket)
            else:
                if kind in _TELL_OF_SOCKETS:
                    self._learn(event)
                elif kind == "invoke":
                    ops.ask(event)
                yield event, None, None
                if kind in _END_OPS:
                    ops.end(event.op)
                continue
            frames = event.frames
            if strangers and self._is_strange(event):
                yield event, _STRANGE[kind], None
                continue
            ends, end = side or self._side_of(event)
            op = None
            empty: End | None = None  # The first that fits, though its body carries no op.
            for fits, body_at, end_of_hop in ends:
                if fits(frames):
                    if body_at is not None:
                        op = known_by(frames[body_at]) or ops.found_in(frames[body_at:])
                        if op is None:
                            empty = empty or end_of_hop
                            continue
                    end = end_of_hop
                    break
            else:
                if empty is not None:
                    end = empty
                elif end.link:
                    op = ops.carried_by(frames)
            yield event, end, op
            if op is not None:
                seen[op] = event

    def _learn(self, event: Event) -> None:
        """Take in what an event says about sockets and endpoints."""
        socket = event.socket
        if event.kind == "link":
            self._links[event.frames[0].decode()] = event.text
        elif event.kind == "socket":
            self._types[socket] = event.text
        elif event.kind == "close":
            self._owing.discard(socket)
            self._types.pop(socket, None)
            self._endpoints.pop(socket, None)
            self._forget_sides(socket)
        else:
            self._endpoints[socket].append(event.text)
            self._forget_sides(socket)  # It may serve one link more.

    def _forget_sides(self, socket: int) -> None:
        for sides in self._of_sockets.values():
            sides.pop(socket, None)

    def _is_strange(self, event: Event) -> bool:
        """Whether a message is a stranger's, or an answer to one."""
        is_marked = is_strangers(event.node, event.frames)
        if self._types.get(event.socket) != "REP":
            return is_marked
        if event.kind == "recv":
            (self._owing.add if is_marked else self._owing.discard)(event.socket)
            return is_marked
        is_owed = event.socket in self._owing
        self._owing.discard(event.socket)
        return is_marked or is_owed

    def _side_of(self, event: Event) -> _Side:
        """What may cross the socket of a message that is its first, or that serves no link yet."""
        socket = event.socket
        type_ = self._types.get(socket, "")
        role = event.node.rpartition("-")[0]
        endpoints = self._endpoints.get(socket, ())
        links = tuple(dict.fromkeys(self._links[each] for each in endpoints if each in self._links))
        place = role, links, type_, event.kind
        side = self._sides.get(place)
        if side is None:
            side = self._sides[place] = _side(self._pattern, place)
        if links:
            self._of_sockets[event.kind][socket] = side
        return side


@lru_cache(maxsize=256)
def _sides_of(pattern: Pattern) -> dict[Place, _Side]:
    """What is known of a pattern's sides; the same for each of its histories."""
    return {}


def _side(pattern: Pattern, place: Place) -> _Side:
    role, links, type_, kind = place
    ends: list[tuple[Layout, End]] = []
    for hop in pattern.hops:
        here, there = (hop.sender, hop.sent), (hop.receiver, hop.received)
        if kind == "recv":
            here, there = there, here
        if here[0] == role and hop.link in links:
            declared = pattern.link(hop.link).socket_of
            text = adapted(here[1], declared(role), type_, declared(there[0]), there[1])
            layout = layout_of(text)
            ids = tuple((name, at) for name, at in layout.names if name[0].isupper())
            end = End(role, hop.link, type_, kind, hop, layout, hop.carries, ids, layout.body_at)
            ends.append((layout, end))
    # Control words first: `[W]["READY"]` must not be read as a body. Then what says the most:
    # at a socket that serves two links, `[W][][C][][body..]` must not be read as `[C][][body..]`.
    ends.sort(key=lambda pair: (pair[1].carries != "control", -pair[1].body_at))
    return _Side(
        tuple(
            (layout.fits, end.body_at if end.carries != "control" else None, end)
            for layout, end in ends
        ),
        End(role, links[0] if links else "", type_, kind, layout=ends[-1][0] if ends else None),
    )
