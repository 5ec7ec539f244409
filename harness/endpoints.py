"""Endpoints of a run: what a binder is given, and what a connector is told.

Nothing is picked and then hoped for. Over tcp a binder gets a wildcard port, the
kernel chooses, and the seam reads what it chose; over ipc the sockets lie in a
folder that belongs to the run; over inproc the names live in the run's own context.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from secrets import token_hex

from .errors import MisuseError
from .pattern import Link, Pattern

TRANSPORTS = ("inproc", "ipc", "tcp")


def private_folder() -> Path:
    """A folder for the ipc sockets of one run, which makes it when it begins.

    Its path is short: an ipc path may have 107 bytes, and pytest's own folders need half
    of that.
    """
    return Path(tempfile.gettempdir()) / f"reqrep-{token_hex(4)}"


class Endpoints:
    """The endpoints of one run.

    Args:
        transport: `inproc`, `ipc` or `tcp`.
        pattern: Whose links they are for.
        folder: Where ipc sockets lie; None for the other transports.

    Raises:
        MisuseError: There is no such transport here.
    """

    def __init__(self, transport: str, pattern: Pattern, folder: Path | None) -> None:
        if transport not in TRANSPORTS:
            raise MisuseError(
                f"the transport is {transport!r}; it must be one of {', '.join(TRANSPORTS)}"
            )
        self.transport = transport
        self._links = [link.name for link in pattern.links]
        self._folder = folder
        self._given: set[str] = set()
        self._found: dict[tuple[str, str], str] = {}  # (link, node) -> endpoint

    def to_bind(self, link: Link, node: str) -> str:
        """What a binder is given."""
        given = self._to_bind(link, node)
        self._given.add(given)
        return given

    def _to_bind(self, link: Link, node: str) -> str:
        if self.transport == "tcp":
            # Where all of 127/8 is loopback each link has an address of its own, so that a
            # node which binds two wildcards can be told by the address which is which.
            last = 1 + self._links.index(link.name) if sys.platform == "linux" else 1
            return f"tcp://127.0.0.{last}:*"
        if self._folder is not None:
            return f"ipc://{self._folder}/{link.name}.{node}"
        return f"inproc://{link.name}.{node}"

    def found(self, link: Link, node: str, endpoint: str) -> None:
        """A node has bound its end of a link."""
        self._found[link.name, node] = endpoint

    def of(self, link: Link, node: str) -> str:
        """Where a node has bound its end of a link."""
        return self._found[link.name, node]

    def is_found(self, link: Link, node: str) -> bool:
        return (link.name, node) in self._found

    def binder_of(self, endpoint: str) -> str | None:
        """The node that has bound an endpoint of the run."""
        for (_, node), found in list(self._found.items()):
            if found == endpoint:
                return node
        return None

    def is_given(self, endpoint: str) -> bool:
        """Whether an endpoint is one that the run hands out to bind or to connect."""
        return endpoint in self._given or endpoint in self._found.values()

    def is_known(self, endpoint: str) -> bool:
        """Whether an endpoint is one of the run's own."""
        return endpoint in self._found.values()

    def to_connect(self, link: Link, *, many: bool) -> str | list[str]:
        """What a connector is told: one endpoint, or a list where the binding role may be several."""
        found = list(self._found.items())  # Of which another thread may find one more.
        endpoints = [endpoint for (name, _), endpoint in found if name == link.name]
        if not endpoints:
            raise MisuseError(
                f"nobody has bound the link {link.name!r} when {' and '.join(link.connects)} must "
                "connect to it: roles that bind for each other wait for ever; let one of them bind both"
            )
        return endpoints if many else endpoints[0]
