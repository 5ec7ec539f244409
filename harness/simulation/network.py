"""The network between nodes: who listens where, and the ways from node to node.

Its faults are methods here, each with its opposite: `cut` / `mend`, `hold` /
`release`; `reset` has none. Nodes are named by text; all are on one host, so a
tcp port or an ipc path exists once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import constants as c
from .choices import Choices
from .connection import Connection, Listener
from .constants import SimulatedError
from .endpoint import ANY_HOST, Endpoint
from .link import LATENCY_LEAST_NS, Way
from .scheduler import Scheduler

if TYPE_CHECKING:
    from .sockets.endpoints import Endpoints

NETWORK_BUFFER_BYTES = 64 * 1024 + 128 * 1024 + 2 * 8 * 1024
"""What lies between two sockets: a send buffer, a receive buffer, a batch of each engine."""

FIRST_WILDCARD_PORT = 49152


class Network:
    """See the top of this file.

    Args:
        scheduler, choices: Those of the run.
        buffer_bytes: What each direction of a connection holds.

    Attributes:
        refusal_ns: How long it takes to hear that nobody listens.
        half_open: The connections of which one side has seen that they broke.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        choices: Choices,
        buffer_bytes: int = NETWORK_BUFFER_BYTES,
    ) -> None:
        self.scheduler = scheduler
        self.choices = choices
        self.buffer_bytes = buffer_bytes
        self.refusal_ns = LATENCY_LEAST_NS
        self._latency_ns: tuple[int, int] | None = None
        self._ways: dict[tuple[str, str], Way] = {}
        self._listeners: dict[Endpoint, Listener] = {}
        self._next_port = FIRST_WILDCARD_PORT
        self._connections = 0
        self.half_open: dict[Connection, None] = {}

    # --- listening ------------------------------------------------------------

    def listen(self, socket: Endpoints, endpoint: Endpoint) -> Listener:
        """Bind an endpoint; port 0 gets one that is free.

        Raises:
            SimulatedError: EADDRINUSE.
        """
        if endpoint.transport == "tcp" and endpoint.port == 0:
            endpoint = endpoint._replace(port=self._free_port())
        elif endpoint.transport == "ipc" and endpoint.address == "*":
            endpoint = endpoint._replace(address=f"/tmp/simulated-{self._free_port()}")
        if self._is_taken(endpoint):
            raise SimulatedError(c.EADDRINUSE, str(endpoint))
        listener = Listener(socket, endpoint)
        self._listeners[endpoint] = listener
        return listener

    def _is_taken(self, endpoint: Endpoint) -> bool:
        if endpoint.transport == "ipc":
            # libzmq removes the file of a path before it binds: the newcomer takes it over.
            return False
        if endpoint.address == ANY_HOST:
            return any(
                other.transport == "tcp" and other.port == endpoint.port
                for other in self._listeners
            )
        return endpoint in self._listeners or endpoint._replace(address=ANY_HOST) in self._listeners

    def _free_port(self) -> int:
        while any(other.port == self._next_port for other in self._listeners):
            self._next_port += 1
        self._next_port += 1
        return self._next_port - 1

    def find(self, endpoint: Endpoint) -> Listener | None:
        """Who listens where a connector knocks."""
        found = self._listeners.get(endpoint)
        if found is None and endpoint.transport == "tcp":
            found = self._listeners.get(endpoint._replace(address=ANY_HOST))
        return found

    def unlisten(self, listener: Listener) -> None:
        """Close a listener; the connections that came in through it are its children."""
        listener.is_closed = True
        if self._listeners.get(listener.endpoint) is listener:
            del self._listeners[listener.endpoint]

    def next_connection(self) -> int:
        """A running number, which also serves as the descriptor that monitors show."""
        self._connections += 1
        return self._connections

    # --- ways -----------------------------------------------------------------

    def way(self, source: str, target: str) -> Way:
        """The way from one node to another."""
        found = self._ways.get((source, target))
        if found is None:
            found = self._ways[source, target] = Way(self.scheduler, self.choices, source, target)
            if self._latency_ns is not None:
                found.set_latency(*self._latency_ns)
        return found

    def set_latency(self, least_ns: int, greatest_ns: int) -> None:
        """The latency of all ways, present and future."""
        self._latency_ns = (least_ns, greatest_ns)
        for way in self._ways.values():
            way.set_latency(least_ns, greatest_ns)

    def is_cut(self, one: str, other: str) -> bool:
        """Whether no connection can be made between two nodes."""
        return self.way(one, other).is_cut

    def connections(self, one: str, other: str) -> list[Connection]:
        """Those that stand, also half open, or are being made between two nodes, in order."""
        nodes = {(one, other), (other, one)}
        accepted = (each for listener in self._listeners.values() for each in listener.connections)
        return [
            connection
            for connection in dict.fromkeys((*self.half_open, *accepted))
            if (connection.out_way.source, connection.out_way.target) in nodes
        ]

    def dispose(self) -> None:
        """Nothing arrives any more, and connections let go of their ends."""
        for way in self._ways.values():
            for wire in list(way.wires):
                wire.connection.dispose()

    # --- faults ---------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """Break the connections between two nodes and refuse new ones until `mend`."""
        self.way(one, other).is_cut = self.way(other, one).is_cut = True
        self.reset(one, other)

    def mend(self, one: str, other: str) -> None:
        """Let connections be made again; each connector does at its next attempt."""
        self.way(one, other).is_cut = self.way(other, one).is_cut = False

    def hold(self, source: str, target: str) -> None:
        """Let nothing through in one direction, or in both if called twice, until `release`."""
        self.way(source, target).hold()

    def release(self, source: str, target: str) -> None:
        """Let through what was held, in order."""
        self.way(source, target).release()

    def reset(self, one: str, other: str, seen_by: str = "both") -> None:
        """Break the connections between two nodes; connectors that see it try again."""
        for connection in self.connections(one, other):
            connection.reset(seen_by)
