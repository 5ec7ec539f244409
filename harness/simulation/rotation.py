"""Who is next: the order in which a socket sends to, and hears, its pipes.

Both keep one list whose first `active` pipes are in the game, and a cursor. A pipe
that is full, or empty, is swapped with the last active one and leaves the game; it
rejoins at the end. A pipe that goes is replaced by the last, so that peers 0, 1, 2, 3
without 1 go on as 0, 3, 2: fairness is promised, a fixed order is not.

Source: docs/clauses.md, 5.6; libzmq, lb.cpp and fq.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .pipe import Message, Pipe

NOWHERE: Final = -1
"""The slot of a pipe that is in no list."""


class LoadBalancer:
    """The pipes that a socket sends to, one whole message each in turn."""

    __slots__ = ("active", "current", "pipes")

    def __init__(self) -> None:
        self.pipes: list[Pipe] = []
        self.active = 0
        self.current = 0

    def attach(self, pipe: Pipe) -> None:
        """A new pipe joins at the end of those in the game."""
        pipe.out_slot = len(self.pipes)
        self.pipes.append(pipe)
        self.activate(pipe)

    def activate(self, pipe: Pipe) -> None:
        """A pipe has room again."""
        if pipe.out_slot >= self.active:
            self._swap(pipe.out_slot, self.active)
            self.active += 1

    def next(self) -> Pipe | None:
        """The pipe that takes the next message; None if none has room."""
        while self.active:
            pipe = self.pipes[self.current]
            if pipe.written < pipe.full_at:
                return pipe
            pipe.full_at = 0  # As `Pipe.is_writable` says.
            self.active -= 1
            if self.current < self.active:
                self._swap(self.current, self.active)
            else:
                self.current = 0
        return None

    def advance(self) -> None:
        """A whole message was written: the cursor moves on."""
        if self.active > 1:
            self.current += 1
            if self.current >= self.active:
                self.current = 0

    def remove(self, pipe: Pipe) -> None:
        """A pipe has gone."""
        slot = pipe.out_slot
        if slot < self.active:
            self.active -= 1
            self._swap(slot, self.active)
            if self.current == self.active:
                self.current = 0
        slot, pipe.out_slot = pipe.out_slot, NOWHERE
        last = self.pipes.pop()
        if last is not pipe:
            self.pipes[slot] = last
            last.out_slot = slot

    def _swap(self, one: int, other: int) -> None:
        pipes = self.pipes
        pipes[one], pipes[other] = pipes[other], pipes[one]
        pipes[one].out_slot = one
        pipes[other].out_slot = other


class FairQueue:
    """The pipes that a socket hears, one whole message each in turn.

    A message that is read frame by frame keeps the turn, and counts as read, only with its
    last frame: `take` holds it while `is_holding`, until `finish`.

    Attributes:
        last: The pipe of the message that was taken last.
    """

    __slots__ = ("_unread", "active", "current", "held", "is_holding", "last", "pipes")

    def __init__(self) -> None:
        self.pipes: list[Pipe] = []
        self.active = 0
        self.current = 0
        self.last: Pipe | None = None
        self.is_holding = False
        self.held: Pipe | None = None
        self._unread = 0  # How many frames of it libzmq would not have read yet.

    def attach(self, pipe: Pipe) -> None:
        """A new pipe joins at the end of those in the game."""
        pipe.in_slot = len(self.pipes)
        self.pipes.append(pipe)
        pipe.on_message = self.activate
        self.activate(pipe)

    def activate(self, pipe: Pipe) -> None:
        """A pipe has something again; nothing happens to one that is in the game, or gone."""
        slot, active = pipe.in_slot, self.active
        if slot >= active:
            if slot != active:
                self._swap(slot, active)
            self.active = active + 1

    def take(self) -> Message | None:
        """The next message, its pipe in `last`; None if there is none."""
        if self.held is not None:
            self.finish()
        while self.active:
            pipe = self.pipes[self.current]
            if not pipe.inbound:
                self._rest(pipe)
                continue
            self.last = pipe
            message = pipe.inbound.popleft()
            if pipe.read == pipe.told_at and len(message) != 1:
                pipe.report_again()
            if self.is_holding:
                self.held = pipe
                self._unread = len(message) - 1
                return message
            if self.active > 1:
                self._advance()
            if message:  # An ANNOUNCEMENT does not count.
                pipe.read += 1
                if pipe.read == pipe.report_at:
                    pipe.report()
            return message
        return None

    def _advance(self) -> None:
        self.current += 1
        if self.current >= self.active:
            self.current = 0

    def read_to(self, left: int) -> None:
        """Of a held message so many frames are left, at least one; the others were read by now."""
        if left < self._unread:
            self._unread = left
            pipe = self.held
            if pipe is not None and pipe.read == pipe.told_at:
                pipe.report_again()

    def finish(self, counted: int = 1) -> None:
        """The last frame of a held message was read."""
        self.read_to(1)
        pipe, self.held = self.held, None
        if pipe is None:
            return
        pipe.read += counted
        if pipe.in_slot != NOWHERE:
            self._advance()
        if counted and pipe.read == pipe.report_at:
            pipe.report()

    def close(self) -> None:
        """Nothing is read here any more."""
        self.last = self.held = None

    def has_any(self) -> bool:
        """Whether there is a message; pipes found at their end are removed by that."""
        while self.active:
            pipe = self.pipes[self.current]
            if pipe.inbound:
                return True
            self._rest(pipe)
        return False

    def _rest(self, pipe: Pipe) -> None:
        """An empty pipe leaves the game; if it has ended, the socket says that it knows."""
        if pipe.is_ended:
            # Reading to the end is what makes a socket forget a peer (5.2.6, 5.3.5).
            pipe.socket.acknowledge_end(pipe)
        pipe.is_end_read = pipe.has_end
        pipe.is_asleep = True
        self.active = active = self.active - 1
        if self.current == active:
            self.current = 0
        else:
            self._swap(self.current, active)

    def remove(self, pipe: Pipe) -> None:
        """A pipe has gone."""
        slot = pipe.in_slot
        if slot < self.active:
            self.active -= 1
            self._swap(slot, self.active)
            if self.current == self.active:
                self.current = 0
        slot, pipe.in_slot = pipe.in_slot, NOWHERE
        last = self.pipes.pop()
        if last is not pipe:
            self.pipes[slot] = last
            last.in_slot = slot

    def _swap(self, one: int, other: int) -> None:
        pipes = self.pipes
        pipes[one], pipes[other] = pipes[other], pipes[one]
        pipes[one].in_slot = one
        pipes[other].in_slot = other
