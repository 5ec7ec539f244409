"""Tells from what is written down which points of a request's life are passed, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..frames import find_op

if TYPE_CHECKING:
    from ..pattern import Pattern


KIND_OF = {"arriving": "recv", "taken": "execute", "worked": "executed", "replied": "send"}
"""The kind of row that tells of a point."""


def serving_roles(pattern: Pattern) -> list[str]:
    """The roles that carry requests out: they receive them and hand them on to nobody."""
    hops = [hop for hop in pattern.hops if hop.carries == "request"]
    handing_on = {hop.sender for hop in hops}
    return list(dict.fromkeys(hop.receiver for hop in hops if hop.receiver not in handing_on))


def receiving_roles(pattern: Pattern) -> list[str]:
    """The roles that requests come to: those that carry them out, and brokers."""
    return list(dict.fromkeys(hop.receiver for hop in pattern.hops if hop.carries == "request"))


class Points:
    """Follows a history while it is written.

    A message is known by its socket and by the op id that it carries: a request that comes in
    at a link where requests come in, a reply that goes out where replies do.

    Args:
        pattern: Whose links and hops they are.
    """

    def __init__(self, pattern: Pattern) -> None:
        self._links: dict[str, str] = {}  # endpoint -> link
        self._endpoints: dict[int, list[str]] = {}  # socket -> endpoints
        self._known: dict[tuple[str, str, str], str] = {}  # (role, link, kind of event) -> point
        for hop in pattern.hops:
            if hop.carries == "request":
                self._known[hop.receiver, hop.link, "recv"] = "arriving"
            elif hop.carries == "reply":
                self._known[hop.sender, hop.link, "send"] = "replied"

    def passed(self, row: tuple[Any, ...]) -> str | None:
        """Which point a row of the history tells of, if any."""
        kind = row[2]
        if kind == "execute":
            return "taken"
        if kind == "executed":
            return "worked"
        if kind in ("recv", "send"):
            role = row[1].rpartition("-")[0]
            for endpoint in self._endpoints.get(row[3], ()):
                point = self._known.get((role, self._links.get(endpoint, ""), kind))
                if point is not None:
                    return point if find_op(row[5]) is not None else None
            return None
        if kind in ("bind", "connect"):
            self._endpoints.setdefault(row[3], []).append(row[6])
        elif kind == "link":
            self._links[row[5][0].decode()] = row[6]
        return None
