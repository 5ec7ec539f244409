"""Where messages end in the bytes that libzmq puts on a connection (ZMTP 3, RFC 23 and 37).

A direction of a connection begins with a greeting of 64 bytes. Then come frames: a byte of
flags, the size of the body in one byte, or in eight if the frame is LONG, and the body.
Frames with the flag MORE belong to a message that goes on; a COMMAND (the handshake, a ping)
is no part of a message, even where it stands between two frames of one.

What is not ZMTP 3, be it an older libzmq or garbage, has no ends. (With CURVE each frame is
sealed with its own MORE inside, so each counts as a message, and nobody sees what it carries.)
"""

from __future__ import annotations

import sys

GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4
BEGINNING_BYTES = 64
"""How much is read of a frame by which a message is known; an op id is shorter."""

_ENDLESS = sys.maxsize
"""The bytes that are still missing of what never ends."""


class Boundaries:
    """Finds the ends of units in one direction of a connection: the greeting, commands, messages.

    Attributes:
        messages: How many messages have come whole; commands do not count.
        is_between: Whether the next byte begins a unit.
        beginnings: If it is a list, for each unit that ends what the frames of the message
            begin with is put there, of what is no message nothing. It is for others to empty.
    """

    __slots__ = (
        "_frames", "_head", "_is_greeted", "_is_in_message", "_missing", "beginnings", "is_between",
        "messages",
    )  # fmt: skip

    def __init__(self) -> None:
        self.messages = 0
        self.is_between = True
        self.beginnings: list[list[bytes]] | None = None
        self._frames: list[bytes] = []  # The beginnings of those that have come of a message.
        self._head = bytearray()  # Of the frame that comes, or the greeting.
        self._missing = 0  # Bytes of the body that comes; 0 while the head does.
        self._is_greeted = False
        self._is_in_message = False

    def ends(self, data: memoryview) -> list[int]:
        """The offsets in the next bytes behind which a unit ends, in order."""
        found: list[int] = []
        position, size = 0, len(data)
        while position < size:
            if not self._missing:
                self.is_between = False
                self._head.append(data[position])
                position += 1
                if not self._is_head_whole():
                    continue
                if self.beginnings is not None and self._is_in_frame:
                    self._frames.append(b"")
            step = min(self._missing, size - position)
            if self.beginnings is not None and self._frames and self._is_in_frame:
                wanted = min(step, BEGINNING_BYTES - len(self._frames[-1]))
                self._frames[-1] += bytes(data[position : position + wanted])
            position += step
            self._missing -= step
            if not self._missing:
                self._frame_ended()
                if self.is_between:
                    found.append(position)
        return found

    @property
    def _is_in_frame(self) -> bool:
        """Whether what comes is a frame of a message."""
        return self._is_greeted and not self._head[0] & COMMAND

    def _is_head_whole(self) -> bool:
        """Whether the head has come; then it says how many bytes are missing behind it."""
        head = self._head
        if not self._is_greeted:
            if head[0] != 0xFF:
                self._missing = _ENDLESS
            elif len(head) == GREETING_BYTES:
                self._missing = 0 if head[9] == 0x7F and head[10] >= 3 else _ENDLESS
            return bool(self._missing) or len(head) == GREETING_BYTES
        flags = head[0]
        if flags > COMMAND | LONG | MORE or flags & (COMMAND | MORE) == COMMAND | MORE:
            self._missing = _ENDLESS
            return True
        if len(head) < (9 if flags & LONG else 2):
            return False
        self._missing = int.from_bytes(head[1:])
        return True

    def _frame_ended(self) -> None:
        """What has ended is the greeting, a command, or a frame, and perhaps its message."""
        flags = self._head[0]
        if not self._is_greeted:
            self._is_greeted = True
        elif not flags & COMMAND:
            self._is_in_message = bool(flags & MORE)
            self.messages += not self._is_in_message
        self.is_between = not self._is_in_message
        if self.is_between:
            if self.beginnings is not None:
                self.beginnings.append([] if flags & COMMAND else self._frames)
            self._frames = []
        self._head.clear()
