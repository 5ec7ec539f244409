"""The start barrier: what a run still waits for before its load begins.

The seam tells what nodes bind and connect, and which connections have shaken hands. What
is missing is counted here, so that nobody has to go through all nodes at each change, and
the conductor is woken only when there is something to see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from .endpoints import Endpoints
from .node import Node
from .seam.seat import Place
from .seam.tap import INPROC


class Change(Protocol):
    """Something has changed: a lock to look under, and a wait for whoever changes it."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc_info: Any) -> Any: ...

    def wait(self, timeout: float) -> Any: ...

    def notify_all(self) -> None: ...


class Ear(Protocol):
    """One socket of a node, as far as a start is concerned: a tap, or what stands for one."""

    @property
    def number(self) -> int: ...

    serves_link: bool

    def note(self, kind: str, text: str = "") -> None: ...


class Barrier:
    """Counts what is missing.

    Args:
        endpoints: Of the run.
        nodes: All nodes by name; they may be put there later.
        changed: Whom to tell, and the lock to do it under.
    """

    def __init__(self, endpoints: Endpoints, nodes: Mapping[str, Node], changed: Change) -> None:
        self._endpoints = endpoints
        self._nodes = nodes
        self._changed = changed
        self._ready: set[str] = set()
        self._due: Counter[tuple[int, str]] = Counter()  # (socket or 0 for the binder, endpoint)
        self._handshakes = 0  # The sum of those.
        self._binders: dict[str, Ear] = {}
        self._unheard: set[int] = set()  # Sockets whose connections are not told.

    @property
    def is_open(self) -> bool:
        """Whether every node is ready, and every connection has shaken hands at both its ends."""
        return not self._handshakes and len(self._ready) == len(self._nodes)

    @property
    def handshakes(self) -> int:
        """How many handshakes are missing, at one end or the other."""
        return self._handshakes

    def dispose(self) -> None:
        """The run is over: let go of its sockets."""
        self._binders.clear()

    # --- what nodes do ----------------------------------------------------------

    def made(self, node: Node) -> None:
        """A client was made."""
        with self._changed:
            node.is_made = True
            self._has_advanced(node)

    def bound(self, seat: Place, tap: Ear, requested: str, endpoint: str) -> None:
        """See `Listener`."""
        node = self._nodes.get(seat.node)
        if node is None:
            return
        with self._changed:
            self._binders[endpoint] = tap
            for link in node.unbound:
                if node.to_bind[link] == requested:
                    node.unbound.remove(link)
                    self._endpoints.found(link, node.name, endpoint)
                    seat.note("link", text=link.name, frames=(endpoint.encode(),))
                    if not node.unbound:
                        self._has_advanced(node)
                        self._changed.notify_all()  # Others may wait for this node alone.
                    break

    def connecting(self, seat: Place, tap: Ear, endpoint: str) -> None:
        """See `Listener`."""
        # A second connect() to one endpoint is ignored by most sockets: await the first.
        node = self._nodes.get(seat.node)
        if node is None or not self._endpoints.is_known(endpoint):
            return
        with self._changed:
            tap.serves_link = True
            if endpoint not in node.connected:
                node.connected.add(endpoint)
                if not endpoint.startswith(INPROC):
                    if tap.number not in self._unheard:
                        self._await_handshake(tap.number, endpoint)
                    binder = self._binders.get(endpoint)
                    if binder is not None and binder.number not in self._unheard:
                        self._await_handshake(0, endpoint)
                self._has_advanced(node)

    def _await_handshake(self, number: int, endpoint: str) -> None:
        self._due[number, endpoint] += 1
        self._handshakes += 1

    def _has_advanced(self, node: Node) -> None:
        if node.is_ready:
            self._ready.add(node.name)
            self._tell_if_open()

    def _tell_if_open(self) -> None:
        if self.is_open:
            self._changed.notify_all()

    # --- what the network tells ---------------------------------------------------

    def connected(self, tap: Ear, endpoint: str) -> None:
        """A connection of a socket has shaken hands."""
        with self._changed:
            # The two ends of a connection tell of it in no certain order.
            key = (tap.number, endpoint)
            if not self._due[key]:
                key = (0, endpoint)
            if self._due[key]:
                self._due[key] -= 1
                self._handshakes -= 1
                self._tell_if_open()

    def unwatched(self, tap: Ear) -> None:
        """Nothing is heard of this socket from now on, so nothing of it is awaited."""
        with self._changed:
            self._unheard.add(tap.number)
            for number, endpoint in list(self._due):
                if number == tap.number or (not number and self._binders.get(endpoint) is tap):
                    self._handshakes -= self._due.pop((number, endpoint))
            self._tell_if_open()
