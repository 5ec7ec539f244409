"""A relay by itself, between plain sockets."""

from __future__ import annotations

import socket
from pathlib import Path

from reqrep import ReqrepError
from reqrep.harness.real.relay import Relay
from reqrep.harness.real.zmtp import COMMAND

from ..test_zmtp import GREETING, frame

A, B = "client-0", "server-0"
DEADLINE_S = 20.0


class Stage:
    """A relay between two nodes, and a plain socket that the second of them has bound."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.failures: list[ReqrepError] = []
        self.relay = Relay([(A, B)], 0, folder, self.failures.append)
        self.relay.open()
        self.family = socket.AF_INET if transport == "tcp" else socket.AF_UNIX
        self.server = socket.socket(self.family)
        self.server.settimeout(DEADLINE_S)
        self.server.bind(("127.0.0.1", 0) if transport == "tcp" else f"{folder}/server")
        name = self.server.getsockname()
        self.bound = "tcp://{}:{}".format(*name) if transport == "tcp" else f"ipc://{name}"
        self.server.listen()
        self.endpoint = self.relay.way_in(A, B, self.bound)
        self._open: list[socket.socket] = [self.server]

    def knock(self) -> socket.socket:
        """Connect where the client is led."""
        _, _, place = self.endpoint.partition("://")
        host, _, port = place.rpartition(":")
        near = socket.socket(self.family)
        self._open.append(near)
        near.settimeout(DEADLINE_S)
        near.connect((host, int(port)) if host else place)
        return near

    def let_in(self) -> socket.socket:
        """Who was led to the server."""
        far, _ = self.server.accept()
        self._open.append(far)
        far.settimeout(DEADLINE_S)
        return far

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A connection, by its two ends."""
        near = self.knock()
        far = self.let_in()
        # It stands when something has come through.
        far.sendall(b"!")
        assert near.recv(1) == b"!"
        return near, far

    def rest(self) -> None:
        """What was sent before has been taken, and passed on if it may be, after this.

        What the relay is asked to do is done between two looks at its sockets, and one look
        finds all that is there.
        """
        for _ in range(3):
            self.relay.is_connected(A, B)

    def close(self) -> None:
        for end in self._open:
            end.close()
        self.relay.close()


def received(end: socket.socket, size: int) -> bytes:
    """So many bytes."""
    got = bytearray()
    while len(got) < size:
        data = end.recv(min(size - len(got), 1 << 20))
        assert data, f"closed after {len(got)} of {size} bytes"
        got += data
    return bytes(got)


def has_something(end: socket.socket) -> bool:
    """Whether something has come, or the end."""
    end.setblocking(False)
    try:
        end.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        end.settimeout(DEADLINE_S)
    return True


def is_broken(end: socket.socket) -> bool:
    """Whether the connection ends, by a reset if the transport has it."""
    try:
        return end.recv(1) == b"" and end.family == socket.AF_UNIX
    except ConnectionResetError:
        return True


def begin(stage: Stage) -> tuple[socket.socket, socket.socket]:
    """A connection on which messages may come."""
    near, far = stage.connect()
    near.sendall(GREETING + frame(b"\x05READY", COMMAND))
    received(far, len(GREETING) + len(frame(b"\x05READY", COMMAND)))
    return near, far
