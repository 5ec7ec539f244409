"""What the harness and the process of a node say to each other, over one stream socket.

A message is `[length u32][tag u8][number u32][msgpack]`, little-endian. The number says to
which question an answer belongs; 0 is no question. A node writes each row of its history
the moment it happens, so what its kernel has taken survives it; a message that its death
cut off is dropped.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from enum import IntEnum
from socket import socket
from typing import Any

import msgspec

from ..history.event import Event
from ..history.recorder import Row

_HEAD = struct.Struct("<IBI")
_CHUNK_BYTES = 1 << 18
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
_decode_event = msgspec.msgpack.Decoder(Event).decode


class Tag(IntEnum):
    """What a message is about; those of a node first, then those of the harness."""

    ROW = 0
    POINT = 1  # A row upon which a fault may strike: the node goes on when it is answered.
    BOUND = 2
    CONNECTING = 3
    UNWATCHED = 4
    MADE = 5
    PROGRESS = 6
    BLAME = 7
    MEDDLE = 8
    CLOCK = 9
    REPLY = 10  # To a question of the harness.

    BEGIN = 32
    ANSWER = 33  # To a question of the node.
    GO = 34
    HEALED = 35
    FINISHED = 36
    SETTLE = 37
    STACK = 38
    STOP = 39
    LEAVE = 40  # Likewise, while others go on.


class Begin(msgspec.Struct, array_like=True):
    """What a node is told before anything else.

    Args:
        name, role, number: As its `Node` has them.
        arguments: What its program is given after the context.
        talk: What a visitor runs, as `programs.pack` packs it; empty for a node of the fleet.
        begun_ns: When the run began, on the clock of the harness.
        awaited: The kinds of rows upon which a fault may strike.
        asks_afresh: Whether its clients make requests when all is healed.
        has_meddlers: Whether there are faults that do something to services.
        stop_timeout_s: How long the node may take to return.
        hwm_limit: As its `Place` has it.
        known_as: As its `Node` has it.
    """

    name: str = ""
    role: str = ""
    number: int = 0
    arguments: list[str | list[str]] = []
    talk: bytes = b""
    begun_ns: int = 0
    awaited: frozenset[str] = frozenset()
    asks_afresh: bool = False
    has_meddlers: bool = False
    stop_timeout_s: float = 0.0
    hwm_limit: int | None = None
    known_as: str = ""


begin_of = msgspec.msgpack.Decoder(Begin).decode


class Channel:
    """One end.

    Args:
        connection: A connected stream socket, which is closed with this.
    """

    def __init__(self, connection: socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._buffer = bytearray()

    def send(self, tag: Tag, content: Any = None, number: int = 0) -> None:
        """Say something.

        Raises:
            OSError: Nobody is there any more.
        """
        data = encode(content)
        message = _HEAD.pack(len(data), tag, number) + data
        with self._lock:
            self.connection.sendall(message)

    def read(self, flags: int = 0) -> bool:
        """Take in what there is, waiting for something; False when the other end has gone.

        Raises:
            BlockingIOError: There is nothing, and the flags say not to wait.
        """
        try:
            data = self.connection.recv(_CHUNK_BYTES, flags)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """The whole messages among what was read: tag, number, and content as it came."""
        buffer = self._buffer
        place = 0
        try:
            while len(buffer) >= place + _HEAD.size:
                length, tag, number = _HEAD.unpack_from(buffer, place)
                begin = place + _HEAD.size
                if len(buffer) < begin + length:
                    break
                place = begin + length
                yield tag, number, bytes(buffer[begin:place])
        finally:
            del buffer[:place]

    def close(self) -> None:
        with self._lock:
            self.connection.close()


def row_of(data: bytes) -> Row:
    """A row of the history as it was before it was sent."""
    return msgspec.structs.astuple(_decode_event(data))
