"""What a relay does with the bytes that go one way: passes them on, keeps them back, draws how long.

    Way   from one node to another, whatever connections there are: what is wrong with it
    Wire  one direction of one connection: what it has taken and not yet passed on

As long as nothing is wrong, bytes are taken into one buffer and passed on from there: no frame
is put together, and nothing is copied but what the target does not take at once. A latency
is one for a whole message, drawn when it begins: all of it arrives then, or as soon as the
source has sent it. What is held is held to the byte, so no message ends any more at the target.
Where a bandwidth is given bytes go on a few at a time, as many as have crossed by then.
Where somebody looks at messages each is shown before its last bytes are passed on, and after.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from .zmtp import Boundaries

KEPT_BYTES = 256 * 1024
"""How much a wire keeps before it reads no more, so that the source feels it.

What the kernel keeps on both sides comes on top of that.
"""

PACE_S = 0.005
"""How often bytes go on where a bandwidth is given, unless even one takes longer to cross."""

_END = b""
"""Kept behind all that the source has sent: it has closed, and the target is told in its turn."""


class Way:
    """From one node to another.

    Args:
        source, target: The nodes.
        seed: Of the run; each way draws from a stream of its own.

    Attributes:
        is_held: Whether nothing gets through.
        latency_s: What the latency of a message is drawn between; None is the network's own.
        bytes_per_s: How quickly the bytes of one connection cross; None is the network's own.
        messages: How many messages have come from the source.
        look: Shown each message by the beginnings of its frames, before and after it is passed
            on; it may break all that is here. None is nobody.
    """

    def __init__(self, source: str, target: str, seed: int) -> None:
        self.is_held = False
        self.latency_s: tuple[float, float] | None = None
        self.bytes_per_s: int | None = None
        self.messages = 0
        self.look: Callable[[list[bytes], bool], None] | None = None
        self._random = Random(f"{seed} {source} {target}")

    def draw_s(self) -> float:
        """How long the next message takes."""
        return 0.0 if self.latency_s is None else self._random.uniform(*self.latency_s)


class Wire:
    """One direction of a connection.

    Args:
        way: What it is part of.
        source, target: The sockets; neither blocks.

    Attributes:
        is_over: Whether the source has closed, and the target knows.
    """

    def __init__(self, way: Way, source: socket.socket, target: socket.socket) -> None:
        self.way = way
        self.source = source
        self.target = target
        self.is_over = False
        self._boundaries = Boundaries()
        # When it is due, what, and if a message ends there that is looked at, its frames.
        self._kept: deque[tuple[float, bytes, list[bytes] | None]] = deque()
        self._shown: list[bytes] | None = None  # The frames that were last shown.
        self._kept_bytes = 0
        self._last_due_s = 0.0
        self._crossed_s = 0.0  # Until when the bandwidth is used up.
        self._has_ended = False  # The source sends no more.
        self._is_full = False  # The target takes no more for now.
        self._is_target_gone = False

    @property
    def wants_to_read(self) -> bool:
        return not self._has_ended and self._kept_bytes < KEPT_BYTES

    @property
    def wants_to_write(self) -> bool:
        return self._is_full and not self.way.is_held

    @property
    def due_s(self) -> float | None:
        """When there is something to pass on that nothing but time keeps back."""
        if not self._kept or self._is_full or self.way.is_held:
            return None
        due_s, data, _ = self._kept[0]
        if self.way.bytes_per_s is None:
            return due_s
        step_s = max(PACE_S, 1 / self.way.bytes_per_s)
        return max(due_s, self._crossed_s + min(step_s, len(data) / self.way.bytes_per_s))

    def read(self, buffer: memoryview) -> bool:
        """Take what the source has sent, and pass on what may go; whether that was all."""
        try:
            size = self.source.recv_into(buffer)
        except BlockingIOError:
            return False
        except OSError:
            size = 0  # It has broken the connection; what had come before arrives.
        if not size:
            self._has_ended = True
            self._keep(self._next_due_s(), _END)
        else:
            self._take(buffer[:size])
        if not self._kept:
            return True
        self.pump()
        return False

    def _take(self, data: memoryview) -> None:
        boundaries, way = self._boundaries, self.way
        is_between, before = boundaries.is_between, boundaries.messages
        boundaries.beginnings = None if way.look is None else []
        ends = boundaries.ends(data)
        way.messages += boundaries.messages - before
        if way.latency_s is not None or way.look is not None:
            self._keep_units(data, ends, is_between)
        elif way.bytes_per_s is not None:
            self._keep(self._next_due_s(), bytes(data))
        elif self._kept or way.is_held:
            self._keep(self._last_due_s, bytes(data))
        else:
            sent = self._send(data)
            if sent < len(data):
                self._keep(self._last_due_s, bytes(data[sent:]))

    def _keep_units(self, data: memoryview, ends: list[int], is_between: bool) -> None:
        """Keep each message with a due time of its own; the rest of one that has begun has its."""
        beginnings: Sequence[list[bytes] | None]
        beginnings = self._boundaries.beginnings or [None] * len(ends)
        begin = 0
        for end, frames in zip((*ends, len(data)), (*beginnings, None), strict=True):
            if begin < end:
                due_s = self._next_due_s() if is_between else self._last_due_s
                self._keep(due_s, bytes(data[begin:end]), frames)
            begin, is_between = end, True

    def _next_due_s(self) -> float:
        # It may be before that of what is kept in front of it, and then waits for that.
        self._last_due_s = time.monotonic() + self.way.draw_s()
        return self._last_due_s

    def _keep(self, due_s: float, data: bytes, frames: list[bytes] | None = None) -> None:
        self._kept.append((due_s, data, frames))
        self._kept_bytes += len(data)

    def resume(self) -> None:
        """The target takes more."""
        self._is_full = False
        self.pump()

    def pump(self) -> None:
        """Pass on what was kept, as far as it is due."""
        while self._kept and not (self.way.is_held or self._is_full):
            due_s, data, frames = self._kept[0]
            now_s = time.monotonic()
            if due_s > now_s:
                return
            if data is _END:
                self._finish()
                return
            size = self._size_crossed(due_s, now_s, len(data))
            if not size:
                return
            if frames and frames is not self._shown and self.way.look is not None:
                self._shown = frames
                self.way.look(frames, False)
                continue  # It may be held by now, or lost.
            sent = self._send(memoryview(data)[:size])
            if self.way.bytes_per_s is not None:
                self._crossed_s += sent / self.way.bytes_per_s
            self._kept_bytes -= sent
            if sent < len(data):
                self._kept[0] = (due_s, data[sent:], frames)
                return  # To look again at once would find the few bytes of a microsecond.
            self._kept.popleft()
            if frames and self.way.look is not None and not self._is_target_gone:
                self.way.look(frames, True)

    def lose(self) -> None:
        """The connection is no more: nor is what was kept."""
        self._kept.clear()
        self._kept_bytes = 0

    def _size_crossed(self, due_s: float, now_s: float, size: int) -> int:
        """How many of so many bytes, which could begin to cross when they were due, have by now."""
        bytes_per_s = self.way.bytes_per_s
        if bytes_per_s is None:
            return size
        # Of the time in which nothing could cross, since it was held or the target took no
        # more, no more is made up for than the relay may have been late by.
        late_s = 2 * max(PACE_S, 1 / bytes_per_s)
        self._crossed_s = max(self._crossed_s, due_s, now_s - late_s)
        return min(size, int((now_s - self._crossed_s) * bytes_per_s))

    def _send(self, data: memoryview) -> int:
        """Pass bytes on; how many are done with."""
        if self._is_target_gone:
            return len(data)
        try:
            sent = self.target.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # It has closed or died. The source learns of that by the other direction, if that
            # gets through; what it sends until then is lost.
            self._is_target_gone = True
            return len(data)
        self._is_full = sent < len(data)
        return sent

    def _finish(self) -> None:
        self._kept.clear()
        self.is_over = True
        try:
            self.target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It is gone as well.
